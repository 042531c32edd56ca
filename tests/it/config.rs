//! Which settings `build` accepts, and the errors for the others.

use std::time::Duration;

use tower_sealed_session::{
    ConfigError, Prefix, SameSite, SessionLayer, SessionLayerBuilder, testing,
};

use crate::support::{Events, keys, on_a_clock};

type Set = fn(SessionLayerBuilder) -> SessionLayerBuilder;

fn build(set: Set) -> Result<SessionLayer, ConfigError> {
    set(SessionLayer::builder(keys())).build()
}

#[test]
fn strictest_possible_prefix_is_chosen() {
    let cases: [(Set, &str); 9] = [
        (|b| b, "__Host-Http-session"),
        (|b| b.name("sid"), "__Host-Http-sid"),
        (|b| b.path("/app"), "__Secure-session"),
        (|b| b.domain("example.com"), "__Secure-session"),
        (|b| b.insecure_http(), "session"),
        (|b| b.prefix(Prefix::Host), "__Host-session"),
        (|b| b.prefix(Prefix::Secure), "__Secure-session"),
        (|b| b.prefix(Prefix::None), "session"),
        (|b| b.name("sid").path("/app").prefix(Prefix::None), "sid"),
    ];
    for (set, name) in cases {
        assert_eq!(build(set).expect(name).cookie_name(), name);
    }
}

#[test]
fn errors_name_both_conflicting_settings() {
    let cases: [(Set, [&str; 2]); 9] = [
        (
            |b| b.prefix(Prefix::Host).domain("example.com"),
            ["prefix", "domain"],
        ),
        (|b| b.prefix(Prefix::Host).path("/app"), ["prefix", "path"]),
        (
            |b| b.prefix(Prefix::Host).insecure_http(),
            ["prefix", "insecure_http"],
        ),
        (
            |b| b.prefix(Prefix::HostHttp).domain("example.com"),
            ["prefix", "domain"],
        ),
        (
            |b| b.prefix(Prefix::HostHttp).path("/app"),
            ["prefix", "path"],
        ),
        (
            |b| b.prefix(Prefix::HostHttp).insecure_http(),
            ["prefix", "insecure_http"],
        ),
        (
            |b| b.prefix(Prefix::Secure).insecure_http(),
            ["prefix", "insecure_http"],
        ),
        (
            |b| b.same_site(SameSite::None).insecure_http(),
            ["same_site", "insecure_http"],
        ),
        (
            |b| b.partitioned(true).insecure_http(),
            ["partitioned", "insecure_http"],
        ),
    ];
    for (set, names) in cases {
        let error = build(set).expect_err("refused");
        let text = error.to_string();
        assert!(
            matches!(error, ConfigError::Conflict { setting, other, .. } if [setting, other] == names)
        );
        assert!(
            names.iter().all(|name| text.contains(&format!("`{name}`"))),
            "{text}"
        );
        assert_eq!(format!("{:?}", build(set).expect_err("refused")), text);
    }
}

#[test]
fn invalid_values_are_rejected() {
    let cases: [(Set, &str); 17] = [
        (|b| b.name(""), "name"),
        (|b| b.name("a b"), "name"),
        (|b| b.name("a;b"), "name"),
        (|b| b.name("a\r\nb"), "name"),
        (|b| b.name("n".repeat(117)), "name"),
        (|b| b.name("__Host-Http-sid"), "name"),
        (|b| b.name("__secure-sid"), "name"),
        (|b| b.path("app"), "path"),
        (|b| b.path(""), "path"),
        (|b| b.path("/a; Domain=evil.example"), "path"),
        (|b| b.path("/a\r\nX: y"), "path"),
        (|b| b.domain(""), "domain"),
        (|b| b.domain("a..b"), "domain"),
        (|b| b.domain("example.com; Secure"), "domain"),
        (|b| b.domain("bücher.example"), "domain"),
        (|b| b.audience("a".repeat(1025)), "audience"),
        (
            |b| b.idle_timeout(Duration::from_millis(999)),
            "idle_timeout",
        ),
    ];
    for (set, wanted) in cases {
        let error = build(set).expect_err(wanted);
        assert!(
            matches!(error, ConfigError::Invalid { setting, .. } if setting == wanted),
            "{error}"
        );
    }
    for wanted in ["idle_timeout", "absolute_timeout", "max_remember"] {
        let set = |b: SessionLayerBuilder| match wanted {
            "idle_timeout" => b.idle_timeout(Duration::MAX),
            "absolute_timeout" => b.absolute_timeout(Duration::MAX),
            _ => b.max_remember(Duration::MAX),
        };
        let error = set(SessionLayer::builder(keys()))
            .build()
            .expect_err(wanted);
        assert!(
            matches!(error, ConfigError::Invalid { setting, .. } if setting == wanted),
            "{error}"
        );
    }
    build(|b| b.name("n".repeat(116)).audience("a".repeat(1024)))
        .expect("maximum lengths are valid");
}

/// As the documentation of the builder says.
#[test]
fn last_value_of_a_setting_that_is_set_twice_counts() {
    let twice = build(|b| b.name("first").path("x").name("second").path("/"));
    assert_eq!(
        twice.expect("valid settings").cookie_name(),
        "__Host-Http-second"
    );
}

/// The limit of a remembered session replaces the absolute timeout, even if it is shorter.
#[test]
fn max_remember_replaces_a_longer_absolute_timeout() {
    let hour = Duration::from_secs(3600);
    let (builder, _) = on_a_clock();
    let layer = builder.absolute_timeout(24 * hour).max_remember(hour);
    let session = testing::session(&layer.build().expect("valid settings"));
    session.login("ada").expect("short");
    session.remember(24 * hour);
    assert_eq!(session.expires_at() - session.created_at(), hour);
}

#[test]
fn settings_that_weaken_the_cookie_emit_events() {
    let events = Events::capture();
    build(|b| b.path("/app")).expect("valid settings");
    assert_eq!(events.drain(), [""; 0]);
    build(|b| b.prefix(Prefix::None)).expect("valid settings");
    build(|b| b.insecure_http()).expect("valid settings");
    assert_eq!(events.drain(), ["unprefixed", "insecure"]);
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<SessionLayer>();
    check::<SessionLayerBuilder>();
    check::<tower_sealed_session::Session>();
    check::<tower_sealed_session::Error>();
    check::<tower_sealed_session::KeyRing>();
    check::<tower_sealed_session::SessionService<()>>();
    fn check_send<T: Send + 'static>() {}
    // not `Sync`: it may hold a store's future
    check_send::<tower_sealed_session::ResponseFuture<(), ()>>();
}
