//! The pages in `runbook/`.

use std::{collections::BTreeSet, fs};

use super::{alerts, metric_names, pages, read, root};

const SECTIONS: [&str; 5] = [
    "What it means",
    "What users notice",
    "What to look at",
    "What to do",
    "When it clears",
];

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let path = root().join(&alert.runbook);
        assert!(path.is_file(), "{}: no {}", alert.name, alert.runbook);
        let page = alert.runbook.strip_prefix("docs/monitoring/runbook/");
        let page = page.expect("in the folder").to_owned();
        assert!(named.insert(page), "{} has another's page", alert.name);
    }
    assert_eq!(named, pages());
}

#[test]
fn pages_have_the_same_sections() {
    for alert in alerts() {
        let page = fs::read_to_string(root().join(&alert.runbook)).expect("a page");
        let start = format!("# {}\n\nSeverity: {}.", alert.name, alert.severity);
        assert!(page.starts_with(&start), "{}", alert.name);
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(sections, SECTIONS, "{}", alert.name);
        let lines = page.lines().count();
        assert!((20..=50).contains(&lines), "{}: {lines} lines", alert.name);
    }
}

#[test]
fn pages_name_commands_that_exist() {
    let guide = fs::read_to_string(root().join("cli/README.md")).expect("a file");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `"));
    let commands: Vec<_> = rows
        .filter_map(|row| row.split_once(" |"))
        .flat_map(|(names, _)| names.split(['`', ',', ' ']))
        .filter(|name| !name.is_empty())
        .collect();
    for page in pages() {
        let text = read(&format!("runbook/{page}"));
        for (_, rest) in text
            .match_indices("sealed-session ")
            .map(|(at, name)| text.split_at(at + name.len()))
        {
            let end = rest.find(|c: char| !c.is_ascii_lowercase());
            let command = &rest[..end.unwrap_or(rest.len())];
            assert!(
                commands.contains(&command),
                "{page}: sealed-session {command}"
            );
        }
    }
}

/// In `rules.yml`, `README.md`, the pages and the dashboard.
#[test]
fn names_of_metrics_follow_the_rules_of_prometheus() {
    let names = metric_names();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let ends = ["_total", "_seconds", "_bytes"];
        let gauges = [
            "session_rows",
            "session_store_up",
            "session_store_operations_in_flight",
            "session_store_keys_without_expiry",
            "session_revocation_entries",
        ];
        assert!(
            ends.iter().any(|end| name.ends_with(end))
                || gauges.contains(&&*name)
                || name == "session_save_attempts",
            "{name}"
        );
    }
}

#[test]
fn all_metrics_that_are_named_exist() {
    let guide = fs::read_to_string(root().join("src/guide/events.md")).expect("the guide");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `"));
    let known: BTreeSet<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let named = metric_names();
    assert!(named.len() > 30, "{}", named.len());
    for name in named {
        assert!(known.contains(name.as_str()), "{name}");
    }
}
