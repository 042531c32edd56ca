//! Adds a store to a layer.

use std::time::Duration;

use super::{error::ConfigError, session_layer::SessionLayer};
use crate::{
    compat,
    session::Measure,
    store::Backend,
    stored::{Mode, Storage},
};

impl SessionLayer {
    /// The same layer with the store of its builder, which has at most one.
    pub(super) fn with_stores(
        self,
        stores: Vec<(Mode, Backend)>,
        timeout: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let mut stores = stores.into_iter();
        let Some((mode, mut backend)) = stores.next() else {
            return match timeout {
                None => Ok(self),
                Some(_) => ConfigError::invalid(
                    "store_timeout",
                    "there is no store; set `store`, `overflow` or `read_from` as well",
                ),
            };
        };
        if let Some((other, _)) = stores.next() {
            let reason = "a layer has one store";
            return match other == mode {
                true => ConfigError::invalid(mode.setting(), reason),
                false => ConfigError::conflict(mode.setting(), other.setting(), reason),
            };
        }
        if let Some(timeout) = timeout {
            backend.set_timeout(timeout);
        }
        self.with_store(mode, backend)
    }

    /// The same layer with a store.
    pub(super) fn with_store(mut self, mode: Mode, backend: Backend) -> Result<Self, ConfigError> {
        let vault = self.vault.clone();
        let config = self.config_mut();
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
