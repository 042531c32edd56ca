//! Settings of the compatibility modes, and that their output shows no secret.

use super::*;
use crate::support::{Events, on_a_clock};
use tower_sealed_session::{ConfigError, SameSite, compat::EmptySecret};

fn fault(error: ConfigError) -> (&'static str, Option<&'static str>) {
    let text = error.to_string();
    assert!(text.len() > 40 && !text.contains(OLD_SECRET), "{text}");
    assert_eq!(format!("{error:?}"), text);
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

#[test]
fn second_legacy_cookie_is_rejected() {
    let until = moment(START) + DAY;
    type Set = fn(SessionLayerBuilder, OffsetDateTime) -> SessionLayerBuilder;
    let settings: [(&str, Set); 2] = [
        ("migrate", |b, until| b.migrate(old_cookie(), until)),
        ("dual_write", |b, until| b.dual_write(old_cookie(), until)),
    ];
    for (first, set_first) in settings {
        for (second, set_second) in settings {
            let both = set_second(set_first(builder().0, until), until);
            let other = (first != second).then_some(second);
            assert_eq!(fault(both.build().expect_err("refused")), (first, other));
        }
    }
}

/// All cookies would be too old.
#[test]
fn legacy_max_age_below_a_second_is_rejected() {
    let cookie = |max_age| LegacyCookie::new(starlette(), max_age);
    for max_age in [Duration::ZERO, Duration::from_millis(999)] {
        let migrate = builder().0.migrate(cookie(max_age), moment(START) + DAY);
        let wanted = ("LegacyCookie::new", None);
        assert_eq!(fault(migrate.build().expect_err("refused")), wanted);
        let share = SignedSessionLayer::new(cookie(max_age));
        assert_eq!(fault(share.expect_err("refused")), wanted);
    }
    assert!(SignedSessionLayer::new(cookie(Duration::from_secs(1))).is_ok());
}

/// A wrong legacy secret logs everyone out. The reasons of single cookies are at `debug`.
#[tokio::test]
async fn legacy_cookies_with_another_secret_are_warned_of_once_a_minute() {
    for (app, clock) in [migrating(), dual(), sharing()] {
        let events = Events::capture();
        let visit = async |value: &str| {
            let cookie = format!("session={value}");
            crate::support::get_with(&app, "/", &[cookie.as_bytes()]).await;
            let text = events.text();
            let lines = text.lines();
            let warnings = lines.filter(|line| line.contains("event=\"legacy_forged\""));
            warnings.map(str::to_owned).collect::<Vec<_>>()
        };
        let foreign = Starlette::new(["another secret"]).expect("one");
        let foreign = foreign.seal(r#"{"user":"ada"}"#, moment(START));
        let first = visit(&foreign).await;
        assert!(first.len() == 1 && first[0].contains("WARN") && first[0].contains("count=1"));
        assert!(first[0].contains("`secret_key`"), "{first:?}");
        assert_eq!(visit(&foreign).await, [""; 0]);
        assert_eq!(visit(&old_value(r#"{"user":"ada"}"#, START)).await, [""; 0]);
        clock.advance(Duration::from_secs(60));
        let second = visit(&foreign).await;
        assert!(
            second.len() == 1 && second[0].contains("count=2"),
            "{second:?}"
        );
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
