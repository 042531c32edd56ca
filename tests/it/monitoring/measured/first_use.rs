//! Handles are made at their first use.

use tower_sealed_session::{KeyRing, SessionLayer};

use super::recorder::Recorded;
use crate::{
    stores,
    support::{OTHER_SECRET, SECRET, Visitor, layer, secret},
};

#[tokio::test]
async fn recorder_that_is_installed_later_gets_the_metrics_from_then_on() {
    let (app, mut visitor) = (stores::app(layer()), Visitor::default());
    visitor.get(&app, "/count").await;
    let recorded = Recorded::begin();
    assert_eq!(recorded.series(), [""; 0]);
    visitor.get(&app, "/count").await;
    let labels = [("mode", "cookie"), ("store", "none"), ("result", "valid")];
    assert_eq!(recorded.count("session_requests_total", &labels), 1);
    assert_eq!(recorded.count("session_changed_total", &[]), 1);
}

/// Otherwise the first event would be no increase.
#[tokio::test]
async fn counters_of_alerts_begin_with_zero() {
    let recorded = Recorded::begin();
    Visitor::default().get(&stores::app(layer()), "/len").await;
    let series = recorded.series();
    for name in [
        "session_logout_incomplete_total{",
        r#"session_unreadable_total{mode="cookie",store="none",reason="forged"}"#,
        r#"session_rejected_total{mode="cookie",store="none",reason="malformed"}"#,
        r#"session_errors_total{status="500"}"#,
    ] {
        let [line] = series
            .iter()
            .filter(|line| line.starts_with(name))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{name} is not there once:\n{series:#?}");
        };
        assert!(line.ends_with(" 0"), "{line}");
    }
}

#[tokio::test]
async fn uses_of_a_fallback_secret_are_counted_while_there_is_one() {
    let recorded = Recorded::begin();
    let fallback = ("key", "fallback");
    let (old, mut visitor) = (stores::app(layer()), Visitor::default());
    visitor.get(&old, "/count").await;
    visitor.get(&old, "/count").await;
    let uses = |labels: &[_]| recorded.count("session_key_uses_total", labels);
    assert_eq!(uses(&[("key", "current"), ("sealed", "cookie")]), 1);
    assert!(!recorded.text().contains("fallback"));

    let rotated = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET));
    let new = stores::app(SessionLayer::new(rotated));
    Visitor::default().get(&new, "/len").await;
    assert!(recorded.text().contains("fallback") && uses(&[fallback]) == 0);
    // the response to the first visit sets a cookie of the new secret
    visitor.get(&new, "/count").await;
    visitor.get(&new, "/count").await;
    assert_eq!(uses(&[fallback]), 1);
    assert_eq!(uses(&[("key", "current")]), 2);
}
