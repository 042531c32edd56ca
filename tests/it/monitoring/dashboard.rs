//! `dashboard.json`.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{alerts, names_in, promtool, read};
use crate::processes::Folder;

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboard.json")).expect("JSON")
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("a list")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// The title and the PromQL expression of each query of each panel. It is for all jobs, and its
/// rates are those of a minute.
pub(super) fn panel_queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().expect("a list") {
            let query = text(target, "expr")
                .replace(r#"job="$job""#, r#"job=~".+""#)
                .replace("$__rate_interval", "1m");
            assert!(!query.contains('$'), "another variable: {query}");
            queries.push((text(panel, "title").to_owned(), query));
        }
    }
    queries
}

#[test]
fn each_panel_has_queries_a_unit_and_what_is_normal() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")));
        assert!(text(panel, "description").contains("Normal: "), "{title}");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}");
        let targets = panel["targets"].as_array().expect("a list");
        assert!(!targets.is_empty(), "{title}");
        let mut references = BTreeSet::new();
        for target in targets {
            assert!(references.insert(text(target, "refId")), "{title}");
            assert_eq!(text(&target["datasource"], "uid"), "${datasource}");
            let query = text(target, "expr");
            assert!(
                query.contains(r#"job="$job""#) || query.starts_with("vector("),
                "{title}"
            );
        }
        let unit = match text(panel, "type") {
            "heatmap" => &panel["options"]["yAxis"],
            _ => &panel["fieldConfig"]["defaults"],
        };
        assert!(!text(unit, "unit").is_empty(), "{title}");
    }
}

#[test]
fn panels_do_not_overlap() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["gridPos"]);
        for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
            assert!(taken.insert(cell), "{}", text(panel, "title"));
        }
    }
}

#[test]
fn variables_are_the_data_source_and_the_job() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let [source, job] = &variables[..] else {
        panic!("two variables");
    };
    assert_eq!(
        [text(source, "name"), text(source, "type")],
        ["datasource", "datasource"]
    );
    assert_eq!(text(source, "query"), "prometheus");
    assert_eq!(text(job, "name"), "job");
    assert_eq!(
        text(job, "definition"),
        "label_values(session_requests_total, job)"
    );
    assert_eq!(job["query"]["query"], job["definition"]);
}

#[test]
fn queries_are_valid() {
    let folder = Folder::new();
    let file = folder.0.join("queries.yml");
    let mut rules = "groups:\n- name: queries\n  rules:\n".to_owned();
    for (index, (_, query)) in panel_queries().iter().enumerate() {
        // a string of JSON is one of YAML
        let query = Value::from(query.as_str());
        rules.push_str(&format!("  - record: query:{index}\n    expr: {query}\n"));
    }
    fs::write(&file, rules).expect("written");
    promtool(&["check", "rules", file.to_str().expect("UTF-8")]);
}

#[test]
fn metrics_of_all_alerts_are_shown() {
    let shown: BTreeSet<_> = panel_queries()
        .iter()
        .flat_map(|(_, query)| names_in(query))
        .collect();
    for alert in alerts() {
        for name in names_in(&alert.expression) {
            assert!(shown.contains(&name), "{}: {name}", alert.name);
        }
    }
}
