//! The metrics and the event of one call to a store.

use super::error::StoreError;
use crate::{
    event::Event,
    metrics::{Metric, Metrics, Timer},
};

/// A call that is under way, until this is dropped.
pub(crate) struct Call<'a> {
    metrics: &'a Metrics,
    name: &'static str,
    timer: Timer,
}

impl<'a> Call<'a> {
    pub(crate) fn begin(metrics: &'a Metrics, name: &'static str) -> Self {
        metrics.add(Metric::StoreInFlight, &[], 1.0);
        Self {
            metrics,
            name,
            timer: Timer::start(),
        }
    }

    /// Measures the call. An error is also an event.
    pub(crate) fn end<T>(self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let call = self.name;
        self.metrics
            .time(Metric::StoreDuration, &[call], self.timer);
        answer.inspect_err(|error| {
            let kind = error.kind().name();
            Event::StoreFailed { call, kind, error }.emit(self.metrics);
        })
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.metrics.add(Metric::StoreInFlight, &[], -1.0);
    }
}
