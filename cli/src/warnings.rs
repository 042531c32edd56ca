//! The warnings that the library emits as events.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

/// Collects warnings and errors while it lives, also those of other threads.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Collects from now on. Only the first call in a process has an effect.
    pub(crate) fn collect() -> Self {
        let warnings = Self::default();
        let subscriber = tracing_subscriber::registry().with(warnings.clone());
        let _ = tracing::subscriber::set_global_default(subscriber);
        warnings
    }

    /// Those since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() != "tower_sealed_session" {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(text.message + &text.fields);
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "event" => Ok(()),
            name => write!(self.fields, ", {name}: {value:?}"),
        };
        written.expect("a text takes everything");
    }
}
