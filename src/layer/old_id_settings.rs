//! The checks of the cookie whose ids were imported.

use cookie::SameSite;
use time::OffsetDateTime;

use super::{check::TimeoutSettings, error::ConfigError};
use crate::{
    clock,
    cookie::{Attributes, CookieName, Prefix, Template},
    request::{Config, OldIds},
};

/// The cookie that a builder was given.
pub(super) struct OldIdSettings {
    pub(super) name: String,
    pub(super) until: OffsetDateTime,
}

impl OldIdSettings {
    const NAME: &str = "adopt_ids_from_cookie";

    /// Checks the setting, and sets it in a configuration that has all others.
    pub(super) fn set(
        self,
        config: &mut Config,
        timeouts: &TimeoutSettings,
        ours: &Attributes,
    ) -> Result<(), ConfigError> {
        timeouts.must_be_set(
            "with `adopt_ids_from_cookie` it must be set, since an imported session is as old as \
             its import",
        )?;
        let Some(name) = CookieName::new(Prefix::None, &self.name) else {
            return ConfigError::invalid(
                Self::NAME,
                "as the cookie's name, use letters, digits and !#$%&'*+-.^_`|~, at most 128 \
                 characters",
            );
        };
        if name.as_str() == config.codec.name() {
            return ConfigError::conflict(
                Self::NAME,
                "name",
                "the two cookies need different names; \
                 note that `SESSION_INSECURE_HTTP=1` removes the prefix",
            );
        }
        if config.storage.is_none() {
            return ConfigError::invalid(
                Self::NAME,
                "there is no store; first set `store`, `overflow` or `read_from`",
            );
        }
        if config.companion.is_some() {
            return ConfigError::conflict(
                Self::NAME,
                "migrate",
                "a layer takes over the cookies of one system",
            );
        }
        let removal = Attributes {
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            secure: ours.secure,
            partitioned: false,
        };
        config.old_ids = Some(OldIds {
            template: Template::new(name, &removal),
            until: clock::millis(self.until),
        });
        Ok(())
    }
}
