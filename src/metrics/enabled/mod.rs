//! Metrics as the `metrics` facade takes them.
//!
//! To look up a metric by its name costs about a hundred nanoseconds, so each handle is kept when
//! it is used first.

mod definition;
mod table;

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Instant, SystemTime},
};

use ::metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, with_recorder,
};

use self::{
    definition::{Definition, Kind, Scope},
    table::{FALLBACK, TABLE},
};
use super::{Metric, Mode};

/// A value that every request has, and that takes longer to record than to compute, is recorded for
/// one request in so many.
const SAMPLED: u32 = 16;

/// The metrics of one layer, one store or one log.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Series>);

/// A time that was measured from its start.
#[derive(Clone, Copy)]
pub(crate) struct Timer(Instant);

/// All time series of a scope.
struct Series {
    scope: Scope,
    /// The labels that they have in common.
    labels: Vec<Label>,
    /// Whether the layer has fallback secrets.
    fallbacks: bool,
    slots: Box<[Slot]>,
}

/// One time series.
#[derive(Default)]
struct Slot {
    key: OnceLock<Key>,
    handle: OnceLock<Handle>,
    /// Counts the values of a histogram that is sampled.
    seen: AtomicU32,
}

enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Metrics {
    pub(crate) fn of_layer(mode: Mode, store: &'static str, fallbacks: bool) -> Self {
        let labels = [("mode", mode.name()), ("store", store)];
        Self::new(Scope::Layer, &labels, fallbacks)
    }

    pub(crate) fn of_store(kind: &'static str) -> Self {
        Self::new(Scope::Store, &[("store", kind)], false)
    }

    /// The metrics that belong to no layer and no store. It ignores all others.
    pub(crate) fn of_process() -> &'static Self {
        static PROCESS: LazyLock<Metrics> =
            LazyLock::new(|| Metrics::new(Scope::Process, &[], false));
        &PROCESS
    }

    fn new(scope: Scope, labels: &[(&'static str, &'static str)], fallbacks: bool) -> Self {
        let label = |&(name, value)| Label::from_static_parts(name, value);
        Self(Arc::new(Series {
            scope,
            labels: labels.iter().map(label).collect(),
            fallbacks,
            slots: (0..scope.slots()).map(|_| Slot::default()).collect(),
        }))
    }

    /// Adds to a counter. `values` are those of the metric's own labels.
    pub(crate) fn count(&self, metric: Metric, values: &[&'static str], by: u64) {
        self.with(metric, values, |handle| {
            if let Handle::Counter(counter) = handle {
                counter.increment(by);
            }
        });
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, metric: Metric, values: &[&'static str], value: f64) {
        self.with(metric, values, |handle| {
            if let Handle::Gauge(gauge) = handle {
                gauge.set(value);
            }
        });
    }

    /// Sets a gauge to the time so many seconds ago, in seconds since 1970.
    pub(crate) fn set_past(&self, metric: Metric, ago: f64) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.set(metric, &[], now.as_secs_f64() - ago);
    }

    /// Adds to a gauge.
    pub(crate) fn add(&self, metric: Metric, values: &[&'static str], value: f64) {
        self.with(metric, values, |handle| {
            if let Handle::Gauge(gauge) = handle {
                gauge.increment(value);
            }
        });
    }

    /// Adds a value to a histogram.
    pub(crate) fn record(&self, metric: Metric, values: &[&'static str], value: f64) {
        self.with(metric, values, |handle| {
            if let Handle::Histogram(histogram) = handle {
                histogram.record(value);
            }
        });
    }

    /// Adds the seconds since the start of a timer to a histogram.
    pub(crate) fn time(&self, metric: Metric, values: &[&'static str], timer: Timer) {
        self.record(metric, values, timer.0.elapsed().as_secs_f64());
    }

    /// Starts a timer, for one call in 16.
    pub(crate) fn sample_timer(&self, metric: Metric) -> Option<Timer> {
        self.is_sampled(metric).then(Timer::start)
    }

    /// Adds a value to a histogram, for one call in 16.
    pub(crate) fn sample(&self, metric: Metric, value: f64) {
        if self.is_sampled(metric) {
            self.record(metric, &[], value);
        }
    }

    /// Beginning with the first call. A race only shifts the sample.
    fn is_sampled(&self, metric: Metric) -> bool {
        let definition = &TABLE[metric as usize];
        let slot = definition.position(&[]).and_then(|at| self.0.slots.get(at));
        slot.is_some_and(|slot| {
            let seen = slot.seen.load(Ordering::Relaxed);
            slot.seen.store(seen.wrapping_add(1), Ordering::Relaxed);
            seen.is_multiple_of(SAMPLED)
        })
    }

    fn with(&self, metric: Metric, values: &[&'static str], act: impl FnOnce(&Handle)) {
        let definition = &TABLE[metric as usize];
        if definition.scope != self.0.scope {
            return;
        }
        let Some(at) = definition.position(values) else {
            return;
        };
        let slot = &self.0.slots[at];
        match slot.handle.get() {
            Some(handle) => act(handle),
            None => self.0.first(definition, values, slot, act),
        }
    }
}

impl Series {
    /// Looks up a handle, and keeps it if there is a recorder. An app may install one later.
    #[cold]
    fn first(
        &self,
        definition: &Definition,
        values: &[&'static str],
        slot: &Slot,
        act: impl FnOnce(&Handle),
    ) {
        with_recorder(|recorder| {
            // the facade's own recorder, which does nothing, is one without data
            let lasts = size_of_val(recorder) > 0;
            if lasts && self.slots.iter().all(|slot| slot.handle.get().is_none()) {
                self.begin(recorder);
            }
            let handle = self.register(recorder, definition, values, slot);
            match lasts {
                true => act(slot.handle.get_or_init(|| handle)),
                false => act(&handle),
            }
        });
    }

    /// Creates the counters that alerts look at, so that the first event is an increase.
    fn begin(&self, recorder: &dyn Recorder) {
        for definition in TABLE.iter().filter(|row| row.scope == self.scope) {
            for values in definition.combinations() {
                let starts = match values.as_slice() {
                    [FALLBACK, _] => self.fallbacks,
                    _ => definition.from_start,
                };
                if starts && let Some(at) = definition.position(&values) {
                    let slot = &self.slots[at];
                    let handle = self.register(recorder, definition, &values, slot);
                    slot.handle.get_or_init(|| handle);
                }
            }
        }
        if self.scope == Scope::Layer {
            Metrics::of_process().0.begin(recorder);
        }
    }

    fn register(
        &self,
        recorder: &dyn Recorder,
        definition: &Definition,
        values: &[&'static str],
        slot: &Slot,
    ) -> Handle {
        static METADATA: Metadata<'static> =
            Metadata::new("tower_sealed_session", Level::INFO, Some(module_path!()));
        let key = slot.key.get_or_init(|| {
            let own = definition.labels.iter().zip(values);
            let own = own.map(|(label, value)| Label::from_static_parts(label.name, value));
            let labels: Vec<_> = self.labels.iter().cloned().chain(own).collect();
            Key::from_parts(definition.name, labels)
        });
        let name = KeyName::from_const_str(definition.name);
        let (unit, about) = (definition.unit, definition.about.into());
        match definition.kind {
            Kind::Counter => {
                recorder.describe_counter(name, unit, about);
                Handle::Counter(recorder.register_counter(key, &METADATA))
            }
            Kind::Gauge => {
                recorder.describe_gauge(name, unit, about);
                Handle::Gauge(recorder.register_gauge(key, &METADATA))
            }
            Kind::Histogram(_) => {
                recorder.describe_histogram(name, unit, about);
                Handle::Histogram(recorder.register_histogram(key, &METADATA))
            }
        }
    }
}

impl Timer {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

/// The histograms of this crate, each with the upper bounds of its buckets. An exporter that is not
/// told of buckets makes summaries, which cannot be added up over several instances.
///
/// Durations are in seconds and sizes in bytes, as the names say.
///
/// ```
/// use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
/// use tower_sealed_session::metrics::buckets;
///
/// let mut builder = PrometheusBuilder::new();
/// for (name, bounds) in buckets() {
///     builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)?;
/// }
/// # let _ = builder;
/// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
/// ```
pub fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    TABLE.iter().filter_map(|row| match row.kind {
        Kind::Histogram(bounds) => Some((row.name, bounds)),
        Kind::Counter | Kind::Gauge => None,
    })
}
