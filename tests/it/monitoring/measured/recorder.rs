//! A recorder for the metrics of one test.

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tower_sealed_session::metrics::buckets;

/// Records the metrics of this thread, from its creation on.
pub(super) struct Recorded {
    handle: PrometheusHandle,
    _guard: LocalRecorderGuard<'static>,
}

impl Recorded {
    pub(super) fn begin() -> Self {
        let mut builder = PrometheusBuilder::new();
        for (name, bounds) in buckets() {
            let name = Matcher::Full(name.to_owned());
            builder = builder
                .set_buckets_for_metric(name, bounds)
                .expect("buckets");
        }
        // a recorder lives as long as the handles that were made with it
        let recorder = Box::leak(Box::new(builder.build_recorder()));
        Self {
            handle: recorder.handle(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// The text that Prometheus reads.
    pub(super) fn text(&self) -> String {
        self.handle.render()
    }

    /// The lines of time series.
    pub(super) fn series(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines();
        let series = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        series.map(str::to_owned).collect()
    }

    /// The sum of all time series of that name with these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.series();
        let matching = series.iter().filter(|line| {
            let has =
                |(label, value): &(&str, &str)| line.contains(&format!("{label}=\"{value}\""));
            line.split(['{', ' ']).next() == Some(name) && labels.iter().all(has)
        });
        let value = |line: &String| line.rsplit(' ').next().and_then(|text| text.parse().ok());
        matching.map(|line| value(line).unwrap_or(f64::NAN)).sum()
    }

    /// The same of a counter.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels) as u64
    }
}
