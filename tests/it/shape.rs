//! The whole session as one struct, and cookies of old releases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_sealed_session::{ErrorKind, KeyRing, Prefix, Session, SessionLayer, testing};

use crate::support::{layer, secret};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Visitor {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cart: Vec<u8>,
    theme: Option<String>,
}

fn session() -> Session {
    testing::session(&layer())
}

#[test]
fn struct_and_entry_access_see_the_same_data() {
    let session = session();
    assert_eq!(
        session.read::<Visitor>().expect("defaults"),
        Visitor::default()
    );
    session.insert("cart", [1, 2]).expect("small");
    let mut visitor: Visitor = session.read().expect("a visitor");
    assert_eq!(visitor.cart, [1, 2]);
    visitor.theme = Some("dark".to_owned());
    session.write(&visitor).expect("small");
    assert_eq!(
        session.get::<String>("theme").expect("text").as_deref(),
        Some("dark")
    );
    assert_eq!(session.read::<Visitor>().expect("a visitor"), visitor);
}

#[test]
fn written_struct_reads_back_and_keeps_other_entries() {
    let session = session();
    session.insert("notice", "saved").expect("small");
    let full = Visitor {
        cart: vec![1],
        theme: Some("dark".to_owned()),
    };
    for visitor in [
        full,
        Visitor::default(),
        Visitor {
            cart: vec![2],
            theme: None,
        },
    ] {
        session.write(&visitor).expect("small");
        assert_eq!(session.read::<Visitor>().expect("a visitor"), visitor);
        assert!(session.contains_key("notice"));
        assert_eq!(
            session.contains_key("cart"),
            !visitor.cart.is_empty(),
            "a skipped field is removed"
        );
    }
}

#[test]
fn only_maps_and_structs_can_be_whole_sessions() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named(Visitor);
    #[derive(Serialize, Deserialize)]
    struct Open {
        theme: String,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    let session = session();
    session
        .write(&BTreeMap::from([("theme", "dark")]))
        .expect("small");
    session
        .write(&BTreeMap::from([(7, "seven")]))
        .expect("small");
    let open: Open = session.read().expect("open");
    assert_eq!((&*open.theme, &open.rest["7"]), ("dark", &json!("seven")));
    session.write(&open).expect("small");
    let mut named: Named = session.read().expect("a visitor");
    named.0.cart.push(7);
    session.write(&named).expect("small");
    assert_eq!(session.read::<Named>().expect("a visitor"), named);
    let before: Value = session.read().expect("a map");
    let not_whole: [&dyn Fn() -> Result<(), tower_sealed_session::Error>; 7] = [
        &|| session.write(&Ok::<_, ()>(Visitor::default())),
        &|| session.write(&1),
        &|| session.write("text"),
        &|| session.write(&[("theme", 1)]),
        &|| session.write(&()),
        &|| session.write(&None::<Visitor>),
        &|| session.write(&json!([1])),
    ];
    for write in not_whole {
        assert_eq!(write().expect_err("refused").kind(), ErrorKind::Encoding);
    }
    assert_eq!(session.read::<Value>().expect("a map"), before);
    assert_eq!(
        session.read::<Vec<u8>>().expect_err("a map").kind(),
        ErrorKind::WrongType
    );
}

/// Sealed in October 2025, with the entries `theme`, `cart` and `a`.
#[test]
fn cookie_of_an_old_release_reads_as_the_current_struct() {
    #[derive(Deserialize)]
    struct Today {
        #[serde(alias = "theme")]
        colours: String,
        #[serde(default)]
        locale: Option<String>,
        cart: Vec<u64>,
    }
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/format1.json")).expect("JSON");
    let old = vectors["vectors"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|v| v["owner"] == "user-42");
    let old = old.expect("one");
    let clock = testing::TestClock::at(
        time::OffsetDateTime::from_unix_timestamp(1_760_000_100).expect("in range"),
    );
    let keys = KeyRing::new(secret(old["secret"].as_str().expect("text")));
    let layer = SessionLayer::builder(keys)
        .prefix(Prefix::Host)
        .clock(clock)
        .build()
        .expect("valid settings");
    let name = layer.cookie_name();
    let set = format!("{name}={}", old["token"].as_str().expect("text"));
    let headers = [(
        axum::http::header::SET_COOKIE,
        set.parse().expect("a header"),
    )];
    let session = testing::received(&layer, &headers.into_iter().collect()).expect("it opens");
    let today: Today = session.read().expect("today's struct");
    assert_eq!(
        (&*today.colours, today.locale, today.cart),
        ("dark", None, vec![1, 2, 3])
    );
    assert_eq!(
        session.get::<u64>("theme").expect_err("text").kind(),
        ErrorKind::WrongType
    );
    assert_eq!(
        session.get::<String>("theme").expect("text").as_deref(),
        Some("dark")
    );
    assert_eq!(session.owner().as_deref(), Some("user-42"));
}
