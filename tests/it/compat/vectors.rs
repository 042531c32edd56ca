//! Cookies made by the real itsdangerous.

use serde_json::Value;
use tower_sealed_session::compat::{Format as _, Starlette};

use super::moment;

#[test]
fn itsdangerous_cookies_open_and_are_reproduced() {
    let text = include_str!("../../vectors/starlette.json");
    let file: Value = serde_json::from_str(text).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list");
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let text = |field: &str| vector[field].as_str().expect("text");
        let keys = vector["keys"].as_array().expect("a list");
        let keys = || keys.iter().map(|key| key.as_str().expect("text"));
        let now = moment(vector["now"].as_i64().expect("a number"));
        let starlette = Starlette::new(keys()).expect("secrets");

        let signed = starlette
            .open(text("cookie").as_bytes())
            .expect("authentic");
        assert_eq!(signed.json, text("json").as_bytes(), "{}", text("name"));
        assert_eq!(signed.at, now);
        assert_eq!(starlette.seal(text("json"), now), text("cookie"));
        assert_eq!(starlette.len(text("json").len()), text("cookie").len() + 1);

        // the newest key signs, any key opens
        for (n, key) in keys().enumerate() {
            let alone = Starlette::new([key]).expect("a secret");
            let newest = n + 1 == keys().count();
            assert_eq!(alone.open(text("cookie").as_bytes()).is_ok(), newest);
            assert!(starlette.open(alone.seal("{}", now).as_bytes()).is_ok());
        }
    }
}
