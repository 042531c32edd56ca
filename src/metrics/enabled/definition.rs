//! What a metric is: its name, its unit, and its labels with all their values.

use ::metrics::Unit;

use crate::metrics::Metric;

/// What has a metric, and so which labels all its metrics have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `mode` and `store`.
    Layer,
    Process,
    /// `store`.
    Store,
}

pub(super) enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of the buckets.
    Histogram(&'static [f64]),
}

pub(super) struct OwnLabel {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

pub(super) struct Definition {
    pub(super) metric: Metric,
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    /// The labels beside those of the scope.
    pub(super) labels: &'static [OwnLabel],
    /// Whether its time series begin with 0, before the first event.
    pub(super) from_start: bool,
    pub(super) about: &'static str,
    /// The number of time series of the same scope that come before.
    pub(super) first: usize,
}

impl Definition {
    /// The number of its time series in one scope.
    pub(super) const fn series(&self) -> usize {
        let (mut count, mut at) = (1, 0);
        while at < self.labels.len() {
            count *= self.labels[at].values.len();
            at += 1;
        }
        count
    }

    /// The place of the time series with these values among those of its scope.
    pub(super) fn position(&self, values: &[&'static str]) -> Option<usize> {
        if values.len() != self.labels.len() {
            return None;
        }
        let mut at = 0;
        for (label, value) in self.labels.iter().zip(values) {
            let index = label.values.iter().position(|known| known == value)?;
            at = at * label.values.len() + index;
        }
        Some(self.first + at)
    }

    /// The values of all its time series.
    pub(super) fn combinations(&self) -> Vec<Vec<&'static str>> {
        self.labels.iter().fold(vec![vec![]], |all, label| {
            let with = |before: Vec<_>| {
                let values = label.values.iter();
                values.map(move |value| [before.as_slice(), &[*value]].concat())
            };
            all.into_iter().flat_map(with).collect()
        })
    }
}
