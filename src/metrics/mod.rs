//! Metrics of sessions and stores, through the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The app installs a recorder before it builds its layers, and the layer does the rest:
//! `metrics-exporter-prometheus` for Prometheus, `metrics-exporter-otel` for OpenTelemetry. A
//! recorder that is installed later gets the metrics from then on.
//! [`guide::events`](crate::guide::events#metrics) lists all metrics with their labels.
//!
//! The recorder has to know the [`buckets`] of the histograms. Prometheus' exporter keeps each value
//! of a histogram until it is read, so call its `run_upkeep` every few seconds, as the example
//! `metrics` does.

// Without the feature, `disabled` has the same methods, and none of them does anything.
#[cfg(not(feature = "metrics"))]
mod disabled;
#[cfg(feature = "metrics")]
mod enabled;
mod metric;
mod mode;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::disabled::{Metrics, Timer};
#[cfg(feature = "metrics")]
pub use self::enabled::buckets;
#[cfg(feature = "metrics")]
pub(crate) use self::enabled::{Metrics, Timer};
pub(crate) use self::{metric::Metric, mode::Mode};
