//! Adds a store to a layer, and the one that its sessions move out of.

use std::time::Duration;

use super::{error::ConfigError, session_layer::SessionLayer};
use crate::{
    compat,
    request::Revoking,
    revocation::Revocations,
    session::Measure,
    store::Backend,
    stored::{Mode, Storage},
};

/// A longer time would block a request for as long, and a commit for eight times as long.
const LONGEST: Duration = Duration::from_secs(60);

impl SessionLayer {
    /// The same layer with the stores of its builder.
    pub(super) fn with_stores(
        self,
        stores: Vec<(Mode, Backend)>,
        timeout: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let mut stores = stores.into_iter();
        let layer = stores.try_fold(self, |layer, (mode, store)| layer.with_store(mode, store))?;
        let config = layer.config();
        if config.rules.end_on_reuse && config.storage.is_none() && config.revoking.is_none() {
            return ConfigError::invalid(
                "end_on_reuse",
                "there is neither a store nor a log, so copies are not recognized; \
                 first set `store`, `overflow`, `read_from` or `revocations`",
            );
        }
        match timeout {
            Some(timeout) => layer.with_store_timeout(timeout),
            None => Ok(layer),
        }
    }

    /// The same layer with a log of revocations.
    pub(super) fn with_revocations(
        mut self,
        log: Option<Revocations>,
    ) -> Result<Self, ConfigError> {
        let Some(log) = log else {
            return Ok(self);
        };
        let vault = self.vault.clone();
        let config = self.config_mut();
        if config.revoking.is_some() {
            return ConfigError::invalid("revocations", "a layer has one log");
        }
        let (clock, timeouts) = (&config.clock, &config.rules.timeouts);
        config.revoking = Some(Revoking::new(log, &vault, clock, timeouts));
        Ok(self)
    }

    /// The same layer with a store.
    pub(super) fn with_store(mut self, mode: Mode, backend: Backend) -> Result<Self, ConfigError> {
        let vault = self.vault.clone();
        let config = self.config_mut();
        let storage = match config.storage.take() {
            Some(first) => first.and(mode, backend)?,
            None => Storage {
                backend,
                old: None,
                mode,
                vault,
            },
        };
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
        match storage.mode {
            Mode::Store | Mode::Overflow => config.rules.limits.measure = Measure::Stored,
            Mode::ReadFrom => {}
        }
        config.storage = Some(storage);
        config.label_metrics();
        Ok(self)
    }

    /// The same layer with that time-out for its stores.
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
        if let Some(old) = &mut storage.old {
            old.set_timeout(timeout);
        }
        Ok(self)
    }
}

impl Storage {
    /// The same with a second store. Sessions can move from one store to another, but only if all of
    /// them are to be in the other.
    fn and(self, mode: Mode, mut backend: Backend) -> Result<Self, ConfigError> {
        // the time-out may have been set before this store
        backend.set_timeout(self.backend.timeout());
        let (store, old) = match (self.mode, mode) {
            (Mode::Store, Mode::ReadFrom) if self.old.is_none() => (self.backend, backend),
            (Mode::ReadFrom, Mode::Store) => (backend, self.backend),
            (Mode::Store, Mode::ReadFrom) | (Mode::ReadFrom, Mode::ReadFrom) => {
                return ConfigError::invalid(
                    mode.setting(),
                    "a layer has one store to read from; move out of one store after the other",
                );
            }
            (first, second) if first == second => {
                return ConfigError::invalid(
                    mode.setting(),
                    "a layer has one store; to move to another one, set `read_from` to the old one",
                );
            }
            (Mode::Store, _) | (_, Mode::Store) => {
                return ConfigError::conflict(
                    self.mode.setting(),
                    mode.setting(),
                    "a layer has one store, and each mode reads what the others have stored there",
                );
            }
            _ => {
                return ConfigError::conflict(
                    self.mode.setting(),
                    mode.setting(),
                    "a layer has one store, and only `store` takes sessions from another one: \
                     use `store` with `read_from` until they have moved, then `overflow`",
                );
            }
        };
        Ok(Self {
            backend: store,
            old: Some(old),
            mode: Mode::Store,
            vault: self.vault,
        })
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
