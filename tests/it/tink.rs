//! Interoperability with Google's Tink: it opens the running counter's cookies, and the counter
//! accepts cookies that Tink made.

use std::process::{Command, Output};

use serde_json::Value;

use crate::{
    processes::{Curl, Server},
    python,
    support::{NAME, OTHER_SECRET, SECRET},
};

fn tink(arguments: &[&str]) -> Output {
    Command::new(python::python("tink/requirements.txt"))
        .arg(python::tink())
        .args(arguments)
        .output()
        .expect("Python runs")
}

fn text(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

#[test]
fn tink_opens_the_counters_cookies() {
    let (server, curl) = (
        Server::start("counter", &[("SESSION_SECRET", SECRET)]),
        Curl::new(),
    );
    curl.get(&server, &[]);
    let (_, headers) = curl.get(&server, &[]);
    let (_, value) = headers
        .split_once("set-cookie: __Host-Http-session=")
        .expect("a cookie");
    let token = value.split(';').next().expect("a value");
    let session: Value =
        serde_json::from_str(&text(tink(&["open", SECRET, NAME, token]))).expect("JSON");
    assert_eq!(session["entries"], serde_json::json!({"n": 2}));
    assert_eq!(
        (session["lifetime_s"].as_u64(), session["owner"].as_str()),
        (Some(86_400), None)
    );
    let now = time::OffsetDateTime::now_utc().unix_timestamp() as u64;
    assert!(
        session["created_ms"]
            .as_u64()
            .expect("a number")
            .abs_diff(now * 1000)
            < 60_000
    );
    assert!(!tink(&["open", OTHER_SECRET, NAME, token]).status.success());
    assert!(!tink(&["open", SECRET, "session", token]).status.success());
}

#[test]
fn counter_accepts_cookies_made_by_tink() {
    let server = Server::start("counter", &[("SESSION_SECRET", SECRET)]);
    let visit = |secret, name| {
        let token = text(tink(&[
            "seal",
            secret,
            name,
            r#"{"n": 41, "more": "é"}"#,
            "ada",
        ]));
        Curl::new()
            .get(&server, &["--header", &format!("Cookie: {NAME}={token}")])
            .0
    };
    assert_eq!(visit(SECRET, NAME), "visit 42");
    assert_eq!(visit(OTHER_SECRET, NAME), "visit 1");
    assert_eq!(visit(SECRET, "session"), "visit 1");
}
