//! What a store tells, as metrics in the text format of Prometheus. They have the names and labels
//! of the library's own metrics.

use std::{
    fmt::{Display, Write as _},
    time::SystemTime,
};

use tower_sealed_session::store::{
    AnyStore, ClockSkew, Health, Operate as _, Statistics, StoreErrorKind, clock_skew,
};

use crate::{
    exit::{Exit, Outcome},
    output,
    stores::{StoreArgs, within_patience},
};

/// The kinds of stores that have a server.
const SERVERS: [&str; 3] = ["postgres", "mysql", "redis"];

struct Measured {
    rows: Statistics,
    health: Health,
    skew: Option<ClockSkew>,
}

/// Prints the metrics of a store. If that fails, still prints whether the server can be reached.
pub(crate) async fn print(store: &StoreArgs, exact: bool) -> Outcome {
    let opened = store.connect().await;
    let is_open = opened.is_ok();
    let measured = match opened {
        Ok(store) => measure(&store, exact).await,
        Err(failure) => Err(failure),
    };
    let kind = store.kind().unwrap_or_default();
    let mut metrics = Metrics::of(kind);
    if SERVERS.contains(&kind) {
        let failed = measured.as_ref().err().and_then(|failure| failure.store);
        let lost = [StoreErrorKind::Unreachable, StoreErrorKind::TimedOut];
        let is_up = is_open && failed.is_none_or(|kind| !lost.contains(&kind));
        metrics.add_up(is_up);
    }
    if let Ok(measured) = &measured {
        metrics.add(measured);
    }
    output::print(&metrics.text)?;
    measured.map(|_| Exit::Done)
}

async fn measure(store: &AnyStore, exact: bool) -> Outcome<Measured> {
    let now = SystemTime::now().into();
    let rows = match exact {
        true => store.count(now).await?,
        false => within_patience(store.statistics(now)).await?,
    };
    let mut health = within_patience(store.health(None)).await?;
    while exact && health.next.is_some() {
        let before = health.keys_without_expiry;
        health = within_patience(store.health(health.next)).await?;
        let both = before.zip(health.keys_without_expiry);
        health.keys_without_expiry = both.map(|(before, more)| before + more);
    }
    let skew = match within_patience(clock_skew(store)).await {
        // the user of the store may not ask for the time
        Err(failure) if failure.store == Some(StoreErrorKind::Denied) => None,
        skew => skew?,
    };
    Ok(Measured { rows, health, skew })
}

struct Metrics {
    /// The label `store`.
    store: &'static str,
    text: String,
}

impl Metrics {
    fn of(store: &'static str) -> Self {
        let text = String::new();
        Self { store, text }
    }

    fn add_up(&mut self, is_up: bool) {
        self.head(
            "session_store_up",
            "gauge",
            "Whether the server of the store can be reached.",
        );
        self.sample("session_store_up", "", u8::from(is_up));
    }

    /// Adds what is known.
    fn add(&mut self, measured: &Measured) {
        let Measured { rows, health, skew } = measured;
        self.head(
            "session_rows",
            "gauge",
            "Rows of the store, estimated unless they were counted.",
        );
        self.sample("session_rows", r#",state="live""#, rows.live);
        self.sample("session_rows", r#",state="expired""#, rows.expired);
        self.add_known(
            "session_store_memory_bytes",
            "gauge",
            "Memory that the server uses.",
            health.memory_bytes,
        );
        self.add_known(
            "session_store_memory_limit_bytes",
            "gauge",
            "Limit of the memory of the server.",
            health.memory_limit_bytes,
        );
        self.add_known(
            "session_store_evicted_keys_total",
            "counter",
            "Keys that the server deleted because its memory was full.",
            health.evicted_keys,
        );
        self.add_known(
            "session_store_expired_keys_total",
            "counter",
            "Keys that the server deleted because they had expired.",
            health.expired_keys,
        );
        self.add_known(
            "session_store_keys_without_expiry",
            "gauge",
            "Keys of sessions without a time to live, of a sample unless all were counted.",
            health.keys_without_expiry,
        );
        self.add_known(
            "session_clock_skew_seconds",
            "gauge",
            "Clock of the server of the store minus that of this machine.",
            skew.map(|skew| skew.ahead.as_seconds_f64()),
        );
    }

    fn add_known(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        self.head(name, kind, help);
        self.sample(name, "", value);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let written = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        written.expect("a text takes everything");
    }

    fn sample(&mut self, name: &str, more: &str, value: impl Display) {
        let store = self.store;
        let written = writeln!(self.text, "{name}{{store=\"{store}\"{more}}} {value}");
        written.expect("a text takes everything");
    }
}
