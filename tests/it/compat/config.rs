//! Settings of the compatibility modes, and that their output shows no secret.

use super::*;
use crate::support::{Events, on_a_clock};
use tower_sealed_session::{ConfigError, SameSite, compat::EmptySecret};

fn fault(error: ConfigError) -> (&'static str, Option<&'static str>) {
    let text = error.to_string();
    assert!(text.len() > 40 && !text.contains(OLD_SECRET), "{text}");
    match error {
        ConfigError::Conflict { setting, other, .. } => (setting, Some(other)),
        ConfigError::Invalid { setting, .. } => (setting, None),
        _ => unreachable!("there are two kinds"),
    }
}

#[test]
fn missing_or_empty_secret_is_rejected() {
    assert_eq!(Starlette::new([""; 0]).expect_err("none"), EmptySecret);
    assert_eq!(
        Starlette::new(["good", ""]).expect_err("empty"),
        EmptySecret
    );
}

#[test]
fn both_timeouts_are_required() {
    let until = moment(START) + DAY;
    for dual in [false, true] {
        let old = |builder: SessionLayerBuilder| match dual {
            true => builder.dual_write(old_cookie(), until),
            false => builder.migrate(old_cookie(), until),
        };
        let builder = || on_a_clock().0;
        let error = old(builder()).build().expect_err("neither is set");
        assert_eq!(fault(error), ("idle_timeout", None));
        let error = old(builder().idle_timeout(DAY))
            .build()
            .expect_err("one is not set");
        assert_eq!(fault(error), ("absolute_timeout", None));
        let error = old(builder().absolute_timeout(DAY))
            .build()
            .expect_err("one is not set");
        assert_eq!(fault(error), ("idle_timeout", None));
        assert!(
            old(builder().idle_timeout(DAY).absolute_timeout(DAY))
                .build()
                .is_ok()
        );
    }
}

#[test]
fn invalid_legacy_cookie_settings_are_rejected() {
    let cases = [
        (old_cookie().name("a b"), ("LegacyCookie::name", None)),
        (old_cookie().name(""), ("LegacyCookie::name", None)),
        (old_cookie().path("x"), ("LegacyCookie::path", None)),
        (old_cookie().path("/;"), ("LegacyCookie::path", None)),
        (old_cookie().domain("a b"), ("LegacyCookie::domain", None)),
        (
            old_cookie().same_site(SameSite::None),
            ("LegacyCookie::same_site", Some("LegacyCookie::https_only")),
        ),
    ];
    for (cookie, wanted) in cases {
        let migrate = builder().0.migrate(cookie.clone(), moment(START));
        assert_eq!(fault(migrate.build().expect_err("refused")), wanted);
        let share = SignedSessionLayer::new(cookie);
        assert_eq!(fault(share.expect_err("refused")), wanted);
    }
}

/// The browser must send the legacy cookie with every request that sends ours. Without it, a
/// visitor counts as logged out in the legacy app.
#[test]
fn old_cookie_must_cover_the_scope_of_ours() {
    let until = moment(START) + DAY;
    let conflict = |ours: SessionLayerBuilder, old: LegacyCookie| {
        let error = ours.dual_write(old, until).build().expect_err("refused");
        let (setting, other) = fault(error);
        assert_eq!(setting, "dual_write");
        other.expect("a conflict")
    };
    let ours = || builder().0;
    assert_eq!(conflict(ours().insecure_http(), old_cookie()), "name");
    assert_eq!(conflict(ours(), old_cookie().path("/app")), "path");
    assert_eq!(
        conflict(ours().path("/apple"), old_cookie().path("/app")),
        "path"
    );
    assert_eq!(
        conflict(ours().domain("example.com"), old_cookie()),
        "domain"
    );
    for old in ["app.example.com", "ample.com", "other.com"] {
        assert_eq!(
            conflict(ours().domain("example.com"), old_cookie().domain(old)),
            "domain"
        );
    }
    assert_eq!(
        conflict(ours(), old_cookie().same_site(SameSite::Strict)),
        "same_site"
    );
    assert_eq!(
        conflict(ours().partitioned(true), old_cookie()),
        "partitioned"
    );
    assert_eq!(
        conflict(
            ours().insecure_http().name("id"),
            old_cookie().https_only(true)
        ),
        "insecure_http"
    );
    let possible = [
        (ours().path("/app/x"), old_cookie().path("/app")),
        (ours().path("/app"), old_cookie().path("/app")),
        (ours().path("/app/x"), old_cookie().path("/app/")),
        (ours(), old_cookie().domain("example.com")),
        (
            ours().domain("app.example.com"),
            old_cookie().domain(".Example.com"),
        ),
        (
            ours().domain("example.com"),
            old_cookie().domain("example.com"),
        ),
        (ours().same_site(SameSite::Strict), old_cookie()),
        (ours().insecure_http().name("id"), old_cookie()),
    ];
    for (ours, old) in possible {
        assert!(ours.dual_write(old, until).build().is_ok());
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?} {:?}", starlette(), old_cookie());
    assert!(!shown.contains(OLD_SECRET), "{shown}");
    let signed = starlette().open(old_value(r#"{"a":"v-a-l"}"#, START).as_bytes());
    assert!(!format!("{signed:?}").contains("v-a-l"));
}

/// Events of whole requests in each mode contain no secret, cookie, owner, key or value.
#[tokio::test]
async fn events_show_no_contents_of_old_cookies() {
    let json = r#"{"user":"owner-canary","key-canary":"value-canary","":1}"#;
    for (app, _) in [migrating(), dual(), sharing()] {
        let events = Events::capture();
        let mut visitor = with_old(json, START);
        let old = visitor.jar["session"].clone();
        for path in [
            "/set?key=new-canary&value=more-canary",
            "/login?user=other-canary",
            "/renew",
            "/logout",
        ] {
            visitor.get(&app, "/owner").await;
            visitor.post(&app, path).await;
        }
        for bad in [
            &old[1..],
            &old_value("[\"value-canary\"]", START),
            &old_value(json, 0),
        ] {
            visitor.jar.insert("session".to_owned(), bad.to_owned());
            visitor.get(&app, "/").await;
        }
        let logged = events.text();
        assert!(logged.contains("legacy_rejected") && logged.contains("legacy_left_out"));
        let cookie = &old[..20];
        for secret in ["canary", OLD_SECRET, cookie] {
            assert!(!logged.contains(secret), "{logged}");
        }
    }
}
