use std::sync::{Arc, Once};

use super::{
    check::Check,
    codec::{Codec, Value},
    login_page::LoginPage,
    old_ids::OldIds,
    revoking::Revoking,
    strangers::Strangers,
};
use crate::{
    clock,
    compat::Companion,
    event::Event,
    metrics::{self, Metrics},
    session::Rules,
    stored::{Mode, Rows, Storage},
};

/// The settings of a layer, ready for use by each request.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) codec: Codec,
    /// The legacy cookie that is read, or also written, beside ours.
    pub(crate) companion: Option<Companion>,
    pub(crate) storage: Option<Storage>,
    /// The cookie of the old system whose ids were imported.
    pub(crate) old_ids: Option<OldIds>,
    pub(crate) revoking: Option<Revoking>,
    /// The app's own check of owners.
    pub(crate) check: Option<Check>,
    pub(crate) login_page: Option<LoginPage>,
    pub(crate) rules: Rules,
    pub(crate) clock: clock::Source,
    /// Ensures that the warning about an ignored layer is emitted only once.
    pub(crate) nested: Arc<Once>,
    /// Ensures that the event about logouts without a log is emitted only once.
    pub(crate) unrevocable: Arc<Once>,
    /// Clones of a layer share the count.
    pub(crate) strangers: Arc<Strangers>,
}

impl Config {
    /// Makes a configuration without a legacy cookie beside ours and without a store.
    pub(crate) fn new(codec: Codec, rules: Rules, clock: clock::Source) -> Self {
        let mut config = Self {
            codec,
            companion: None,
            storage: None,
            old_ids: None,
            revoking: None,
            check: None,
            login_page: None,
            rules,
            clock,
            nested: Arc::new(Once::new()),
            unrevocable: Arc::new(Once::new()),
            strangers: Arc::default(),
        };
        config.label_metrics();
        config
    }

    /// Gives the metrics the labels of these settings.
    pub(crate) fn label_metrics(&mut self) {
        let storage = self.storage.as_ref();
        let mode = match (&self.codec.value, storage.map(|storage| storage.mode)) {
            (Value::Signed(_), _) => metrics::Mode::Signed,
            (Value::Sealed { .. }, None) => metrics::Mode::Cookie,
            (_, Some(Mode::Store)) => metrics::Mode::Store,
            (_, Some(Mode::Overflow)) => metrics::Mode::Overflow,
            (_, Some(Mode::ReadFrom)) => metrics::Mode::ReadFrom,
        };
        let kind = storage.map_or("none", |storage| storage.backend.kind());
        let fallbacks = match &self.codec.value {
            Value::Sealed { keys, .. } => keys.has_fallbacks(),
            Value::Signed(_) => false,
        };
        self.rules.metrics = Metrics::of_layer(mode, kind, fallbacks);
    }

    /// Whether two layers with the same cookie name behave alike, so that no warning is needed when
    /// one is ignored.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let mode = |config: &Self| {
            let storage = config.storage.as_ref();
            storage.map(|storage| (storage.mode, storage.old.is_some()))
        };
        let same_check = match (&self.check, &other.check) {
            (Some(check), Some(other)) => check.is_same(other),
            (check, other) => check.is_none() && other.is_none(),
        };
        self.codec.agrees(&other.codec)
            && same_check
            && self.login_page == other.login_page
            && mode(self) == mode(other)
            && self.rules.timeouts == other.rules.timeouts
    }

    pub(super) fn warn_nested(&self) {
        let cookie = self.codec.name();
        self.nested
            .call_once(|| Event::Nested { cookie }.emit(&self.rules.metrics));
    }

    /// Says once what a logout cannot do, if that depends on a cookie.
    pub(crate) fn tell_whether_unrevocable(&self) {
        if self.revoking.is_none() && !self.keeps_all_in_store() {
            let cookie = self.codec.name();
            self.unrevocable
                .call_once(|| Event::Unrevocable { cookie }.emit(&self.rules.metrics));
        }
    }

    /// Whether all sessions are in the store.
    pub(super) fn keeps_all_in_store(&self) -> bool {
        let storage = self.storage.as_ref();
        storage.is_some_and(|storage| storage.mode == Mode::Store)
    }

    /// Whether a request may have to wait for its session.
    pub(super) fn opens_later(&self) -> bool {
        self.storage.is_some()
            || self.check.is_some()
            || (self.revoking.is_some() && self.rules.end_on_reuse)
    }

    pub(crate) fn rows(&self) -> Option<Rows<'_>> {
        let storage = self.storage.as_ref()?;
        Some(storage.rows(&self.rules))
    }
}
