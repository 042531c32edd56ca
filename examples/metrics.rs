//! The example `stores` with metrics for Prometheus, for one or more instances.
//!
//! ```sh
//! export SESSION_SECRET="$(openssl rand -base64 32)" SESSION_STORE_URL=redis://localhost:6379/0
//! cargo run --example metrics --features metrics,redis &
//! PORT=3001 METRICS_PORT=9465 cargo run --example metrics --features metrics,redis &
//! curl http://localhost:9464/metrics
//! ```
//!
//! Let Prometheus scrape each instance:
//!
//! ```yaml
//! scrape_configs:
//!   - job_name: shop
//!     static_configs:
//!       - targets: ["localhost:9464", "localhost:9465"]
//! ```
//!
//! | environment variable | meaning | default |
//! |---|---|---|
//! | `METRICS_PORT` | port of `/metrics`, on 127.0.0.1 | 9464 |
//! | `PRUNE_SECONDS` | expired sessions are deleted at this interval; 0: never | 600 |
//! | `PORT` | port of the pages | 3000 |
//! | `SESSION_SECRET` | secret of all instances | random, lost at exit |
//! | `SESSION_STORE_URL` | where sessions are, as in `stores` | in cookies |
//! | `REVOCATIONS_URL` | the log of revocations, as in `revocation` | no log |
//!
//! `/metrics` is not a route of the app. It has a listener of its own, which the internet does not
//! reach: metrics tell how many visitors there are, and when a secret is replaced. It is also
//! outside the layer of the sessions, so that a scrape is never counted as a request of a visitor.

#[allow(dead_code, reason = "it is an example of its own")]
#[path = "stores.rs"]
mod stores;

use std::{env, error::Error, process::ExitCode, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, time::sleep};
use tower_sealed_session::{
    metrics::buckets,
    store::{AnyStore, measure_every, prune_every},
};

#[tokio::main]
async fn main() -> ExitCode {
    stores::run(serve()).await
}

async fn serve() -> Result<(), Box<dyn Error>> {
    // first of all: what happens before there is a recorder is not counted
    let metrics = install_recorder()?;
    let listener = TcpListener::bind(("127.0.0.1", number("METRICS_PORT", 9464)?)).await?;
    eprintln!("metrics at http://{}/metrics", listener.local_addr()?);
    tokio::spawn(keep_up(metrics.clone()));
    tokio::spawn(async move { axum::serve(listener, page(metrics)).await });

    let prune = Duration::from_secs(number("PRUNE_SECONDS", 600)?.into());
    stores::serve(move |store| spawn_tasks(store, prune)).await
}

/// The tasks of a store.
fn spawn_tasks(store: AnyStore, prune: Duration) {
    tokio::spawn(measure_every(Duration::from_secs(60), store.clone()));
    if !prune.is_zero() {
        tokio::spawn(prune_every(prune, store));
    }
}

fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (name, bounds) in buckets() {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)?;
    }
    builder.install_recorder()
}

/// Histograms keep every value until they are scraped, or until this is done.
async fn keep_up(metrics: PrometheusHandle) {
    loop {
        sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}

fn page(metrics: PrometheusHandle) -> Router {
    let render = async move || {
        let format = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
        (format, metrics.render())
    };
    Router::new().route("/metrics", get(render))
}

fn number(variable: &str, default: u16) -> Result<u16, Box<dyn Error>> {
    let number = env::var(variable).map_or(Ok(default), |number| number.parse());
    number.map_err(|error| format!("{variable} is no number up to 65535: {error}").into())
}
