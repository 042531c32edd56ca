//! The alerts, their pages and the dashboard in `docs/monitoring`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(all(
    feature = "metrics",
    feature = "conformance",
    feature = "memory",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite",
    feature = "tools"
))]
mod live;
#[cfg(all(
    feature = "metrics",
    feature = "conformance",
    feature = "memory",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite",
    feature = "tools"
))]
mod measured;

mod dashboard;
mod rules;
mod runbook;

/// An alert of `rules.yml`.
struct Alert {
    name: String,
    severity: String,
    /// The path of its page.
    runbook: String,
    /// The lines of its expression.
    expression: String,
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn folder() -> PathBuf {
    root().join("docs/monitoring")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of the pages in `runbook/`.
fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(folder().join("runbook")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string());
    names.map(|name| name.expect("UTF-8")).collect()
}

/// Runs `promtool` in the folder of the rules, which must succeed.
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder())
        .output()
        .expect("promtool is missing: `apt-get install -y prometheus`");
    assert!(
        output.status.success(),
        "promtool {arguments:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The alerts of `rules.yml`, which is read line by line.
fn alerts() -> Vec<Alert> {
    let text = read("rules.yml");
    let blocks = text.split("- alert: ").skip(1);
    let alerts = blocks.map(|block| {
        let after = |start: &str, end: char| {
            let (_, rest) = block.split_once(start)?;
            Some(rest.split_once(end)?.0.trim().to_owned())
        };
        let name = block.lines().next().expect("a line").to_owned();
        let part = |start, end| after(start, end).unwrap_or_else(|| panic!("{name}: no {start}"));
        let (expression, _) = block.split_once("labels:").expect("labels");
        Alert {
            severity: part("severity: ", '}'),
            runbook: part("runbook: ", '\n'),
            expression: expression.to_owned(),
            name,
        }
    });
    let alerts: Vec<_> = alerts.collect();
    assert_eq!(alerts.len(), text.matches("alert:").count());
    alerts
}

/// The names of metrics in a text, without those of recording rules.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
    let names = words.filter(|word| word.starts_with("session_") && !word.contains(':'));
    let names = names.map(|name| {
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part));
        whole.unwrap_or(name).to_owned()
    });
    names.collect()
}

/// The names of the metrics in the rules, the dashboard and the pages, each without `_bucket`,
/// `_sum` and `_count`.
fn metric_names() -> BTreeSet<String> {
    let mut files = vec!["rules.yml".to_owned(), "README.md".to_owned()];
    files.extend(pages().iter().map(|page| format!("runbook/{page}")));
    let mut names: BTreeSet<_> = files
        .iter()
        .flat_map(|file| names_in(&read(file)))
        .collect();
    for (_, query) in dashboard::panel_queries() {
        names.extend(names_in(&query));
    }
    names
}
