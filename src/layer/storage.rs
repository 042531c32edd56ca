//! Adds a store to a layer.

use std::time::Duration;

use super::{error::ConfigError, session_layer::SessionLayer};
use crate::{
    compat,
    session::Measure,
    store::Backend,
    stored::{Mode, Storage},
};

/// A longer time would block a request for as long, and a commit for eight times as long.
const LONGEST: Duration = Duration::from_secs(60);

impl SessionLayer {
    /// The same layer with the store of its builder, which has at most one.
    pub(super) fn with_stores(
        self,
        stores: Vec<(Mode, Backend)>,
        timeout: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let mut stores = stores.into_iter();
        let layer = stores.try_fold(self, |layer, (mode, store)| layer.with_store(mode, store))?;
        if layer.config().rules.end_on_reuse && layer.config().storage.is_none() {
            return ConfigError::invalid(
                "end_on_reuse",
                "there is no store, so copies are not recognized; \
                 first set `store`, `overflow` or `read_from`",
            );
        }
        match timeout {
            Some(timeout) => layer.with_store_timeout(timeout),
            None => Ok(layer),
        }
    }

    /// The same layer with a store.
    pub(super) fn with_store(mut self, mode: Mode, backend: Backend) -> Result<Self, ConfigError> {
        let vault = self.vault.clone();
        let config = self.config_mut();
        if let Some(Storage { mode: first, .. }) = config.storage {
            return match first == mode {
                true => ConfigError::invalid(mode.setting(), "a layer has one store"),
                false => ConfigError::conflict(
                    first.setting(),
                    mode.setting(),
                    "a layer has one store, and each mode reads what the others have stored there",
                ),
            };
        }
        if let Some(companion) = &config.companion
            && companion.mode == compat::Mode::Dual
        {
            return ConfigError::conflict(
                mode.setting(),
                "dual_write",
                "the legacy app writes its sessions into its cookie, so they cannot be in a store; \
                 change to `migrate` first",
            );
        }
        config.rules.logs_changes = true;
        match mode {
            Mode::Store | Mode::Overflow => config.rules.limits.measure = Measure::Stored,
            Mode::ReadFrom => {}
        }
        config.storage = Some(Storage {
            backend,
            mode,
            vault,
        });
        Ok(self)
    }

    /// The same layer with that time-out for its store.
    pub(super) fn with_store_timeout(mut self, timeout: Duration) -> Result<Self, ConfigError> {
        let Some(storage) = &mut self.config_mut().storage else {
            return ConfigError::invalid(
                "store_timeout",
                "there is no store; first set `store`, `overflow` or `read_from`",
            );
        };
        if !(Duration::from_millis(1)..=LONGEST).contains(&timeout) {
            return ConfigError::invalid("store_timeout", "use one millisecond to one minute");
        }
        storage.backend.set_timeout(timeout);
        Ok(self)
    }
}

impl Mode {
    /// The name of the setting that chooses this mode.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Overflow => "overflow",
            Self::ReadFrom => "read_from",
        }
    }
}
