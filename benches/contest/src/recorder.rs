//! The recorder of metrics, if this program is built with them.

/// Empties the histograms, as a scrape does.
pub type Upkeep = Box<dyn Fn()>;

#[cfg(feature = "metrics")]
pub fn install() -> Result<Upkeep, metrics_exporter_prometheus::BuildError> {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

    let mut builder = PrometheusBuilder::new();
    for (name, bounds) in tower_sealed_session::metrics::buckets() {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)?;
    }
    let handle = builder.install_recorder()?;
    Ok(Box::new(move || handle.run_upkeep()))
}

#[cfg(not(feature = "metrics"))]
pub fn install() -> Result<Upkeep, std::convert::Infallible> {
    Ok(Box::new(|| {}))
}
