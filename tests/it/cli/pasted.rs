//! What `inspect` accepts as a cookie, and what of it can reach the terminal.

use serde_json::{Value, json};

use super::{
    inspect::{NOW, ada, at, cookie},
    run_with,
};
use crate::support::NAME;

#[test]
fn cookie_is_found_in_whatever_is_pasted() {
    let good = ada();
    let texts = [
        good.clone(),
        format!("\"{good}\"\n"),
        format!("{NAME}={good}"),
        format!("Cookie: a=b; {NAME}={good}; c=d\r\n"),
        format!("cookie:{NAME}=\"{good}\""),
        format!("a=b; {NAME}={good}"),
        format!("Set-Cookie: {NAME}={good}; Path=/; Secure; HttpOnly"),
        format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nset-cookie: {NAME}={good}; secure; httponly"
        ),
    ];
    for text in texts {
        let stdin = run_with(&["inspect", "--at", NOW, "--json"], text.as_bytes(), |it| {
            it
        });
        let json = stdin.exits(0).json();
        assert_eq!(json["bytes"], good.len(), "{text}");
        assert!(json.get("missing_attributes").is_none(), "{text}");
        assert_eq!(at(&text, NOW, &["--json"]).exits(0).json(), json);
    }
    let bare = format!("Set-Cookie: {NAME}={good}; Path=/");
    let json = at(&bare, NOW, &["--json"]).exits(0).json();
    assert_eq!(json["missing_attributes"], json!(["Secure", "HttpOnly"]));
    let told = at(&bare, NOW, &[]).exits(0);
    assert!(told.stdout.contains("without HttpOnly"), "{told:?}");
}

#[test]
fn each_of_several_cookies_is_told_and_one_valid_one_is_enough() {
    let two = format!("Cookie: {NAME}=x; {NAME}={}", ada());
    let both = at(&two, NOW, &["--json"]).exits(0);
    let valid = both.stdout.lines().map(|line| {
        let json: Value = serde_json::from_str(line).expect("JSON");
        json["valid"] == true
    });
    assert_eq!(valid.collect::<Vec<_>>(), [false, true]);
    assert_eq!(
        at(&two, NOW, &[])
            .exits(0)
            .stdout
            .matches("verdict")
            .count(),
        2
    );
    at(&format!("Cookie: {NAME}=x; {NAME}=y"), NOW, &[]).exits(1);
}

#[test]
fn input_without_a_cookie_is_bad_input() {
    for text in ["", "\n", "Cookie: a=b", "session=x", "two words"] {
        let refused = run_with(&["inspect"], text.as_bytes(), |it| it).exits(3);
        assert!(refused.stderr.contains(NAME), "{refused:?}");
        assert!(refused.stdout.is_empty());
    }
    let refused = run_with(&["inspect"], b"\xff\xfe", |it| it).exits(3);
    assert!(refused.stderr.contains("stdin"), "{refused:?}");
}

#[test]
fn terminal_codes_of_a_session_are_not_printed() {
    let value = cookie(
        |builder| builder,
        |session| {
            session.login("a\u{1b}[2Jda").expect("it is small");
            session
                .insert("k\u{1b}]0;x\u{7}", "\u{1b}[31m\u{202e}")
                .expect("it is small");
        },
    );
    for more in [&["--show-values"][..], &[]] {
        let shown = at(&value, NOW, more).exits(0).stdout;
        assert!(
            !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{shown:?}"
        );
        assert!(shown.contains("entry k\\u{1b}]0;x\\u{7}"), "{shown}");
    }
    let json = at(&value, NOW, &["--show-values", "--json"])
        .exits(0)
        .stdout;
    assert!(!json.contains('\u{1b}'), "{json:?}");
}
