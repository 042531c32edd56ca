use super::{Metric, Mode};

/// No metrics, without the feature `metrics`.
#[derive(Clone)]
pub(crate) struct Metrics;

/// No time.
#[derive(Clone, Copy)]
pub(crate) struct Timer;

impl Metrics {
    pub(crate) fn of_layer(_: Mode, _: &'static str, _: bool) -> Self {
        Self
    }

    pub(crate) fn of_store(_: &'static str) -> Self {
        Self
    }

    pub(crate) fn of_process() -> &'static Self {
        &Self
    }

    #[inline]
    pub(crate) fn count(&self, _: Metric, _: &[&'static str], _: u64) {}

    #[inline]
    pub(crate) fn set(&self, _: Metric, _: &[&'static str], _: f64) {}

    #[inline]
    pub(crate) fn set_past(&self, _: Metric, _: f64) {}

    #[inline]
    pub(crate) fn add(&self, _: Metric, _: &[&'static str], _: f64) {}

    #[inline]
    pub(crate) fn record(&self, _: Metric, _: &[&'static str], _: f64) {}

    #[inline]
    pub(crate) fn sample_timer(&self, _: Metric) -> Option<Timer> {
        None
    }

    #[inline]
    pub(crate) fn sample(&self, _: Metric, _: f64) {}

    #[inline]
    pub(crate) fn time(&self, _: Metric, _: &[&'static str], _: Timer) {}
}

impl Timer {
    #[inline]
    pub(crate) fn start() -> Self {
        Self
    }
}
