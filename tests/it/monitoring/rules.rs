//! `rules.yml` and its tests.

use std::collections::BTreeSet;

use super::{alerts, promtool, read};

const TESTS: [&str; 2] = ["rules_test.yml", "rules_days_test.yml"];

/// What a test of a rule expects at one time.
struct Expectation {
    alert: String,
    fires: bool,
}

/// The expectations of each test in a file, in their order. It is read line by line.
fn expectations(file: &str) -> Vec<Vec<Expectation>> {
    let text = read(file);
    let tests = text.split("\n  - name: ").skip(1);
    let tests = tests.map(|test| {
        let mut found = Vec::new();
        let mut last = None;
        for line in test.lines().map(str::trim) {
            if let Some((_, rest)) = line.split_once("alertname: ") {
                let end = rest.find(',').unwrap_or(rest.len());
                last = Some(rest[..end].to_owned());
            }
            if let Some((_, rest)) = line.split_once("exp_alerts:") {
                found.push(Expectation {
                    alert: last.take().expect("the alert's name comes first"),
                    fires: !rest.contains("[]"),
                });
            }
        }
        found
    });
    let tests: Vec<_> = tests.collect();
    let found: usize = tests.iter().map(Vec::len).sum();
    assert_eq!(found, text.matches("eval_time:").count(), "{file}");
    tests
}

#[test]
fn rules_are_valid() {
    promtool(&["check", "rules", "rules.yml"]);
}

#[test]
fn alerts_fire_when_they_must_and_only_then() {
    std::thread::scope(|scope| {
        for file in TESTS {
            scope.spawn(move || promtool(&["test", "rules", file]));
        }
    });
}

#[test]
fn each_alert_has_a_test_in_which_it_fires_and_then_clears() {
    let tests: Vec<_> = TESTS.into_iter().flat_map(expectations).collect();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let fires_and_clears = tests.iter().any(|test| {
            let mut own = test.iter().filter(|expected| expected.alert == alert.name);
            own.any(|expected| expected.fires) && own.any(|expected| !expected.fires)
        });
        assert!(fires_and_clears, "{} has no such test", alert.name);
        assert!(
            names.insert(alert.name.clone()),
            "two rules are named {}",
            alert.name
        );
    }
    for expected in tests.iter().flatten() {
        assert!(
            names.contains(&expected.alert),
            "no alert {}",
            expected.alert
        );
    }
}

#[test]
fn each_alert_has_a_known_severity() {
    for alert in alerts() {
        let known = ["page", "ticket", "info"].contains(&&*alert.severity);
        assert!(known, "{}: {}", alert.name, alert.severity);
    }
}
