//! The setting for sessions that were imported with their ids.

use cookie::SameSite;
use time::OffsetDateTime;

#[cfg(feature = "store")]
use super::builder::SessionLayerBuilder;
use super::{check::TimeoutSettings, error::ConfigError};
use crate::{
    clock::Millis,
    cookie::{Attributes, CookieName, Prefix, Template},
    request::{Config, OldIds},
};

/// The setting as it was made.
pub(super) struct OldIdSettings {
    name: String,
    until: OffsetDateTime,
}

#[cfg(feature = "store")]
impl SessionLayerBuilder {
    /// Takes over the sessions that were imported with their old ids: a visitor who has the cookie
    /// `name` of the old system and none of ours continues the session that was imported for the id
    /// in that cookie. From `until` on, the cookie is ignored.
    ///
    /// The command `sealed-session import --accept-old-ids` makes the imports, and so does
    /// `tools::import` with the feature `tools`. Each id is taken once, by the first request that
    /// uses the session. The response sets our cookie, which has a new id, and removes the old one
    /// with the path `/`. Other requests of the same page, which bring the old id too, find the
    /// session for ten seconds. After that, the old id opens nothing; but if its visitor did not get
    /// the response and logs in again, the login continues the session.
    ///
    /// The session is as old as its import, and was used last then. So
    /// [`idle_timeout`](Self::idle_timeout) and [`absolute_timeout`](Self::absolute_timeout) must be
    /// set: with the defaults of an hour and a day, visitors who come later than that would not find
    /// their sessions. The layer needs a store. The event `old_id_taken` tells of each id.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use std::time::{Duration, SystemTime};
    /// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
    ///
    /// let fourteen_days = Duration::from_secs(14 * 24 * 3600);
    /// let until = SystemTime::now() + fourteen_days;
    /// let sessions = SessionLayer::builder(KeyRing::ephemeral()?)
    ///     .idle_timeout(fourteen_days)
    ///     .absolute_timeout(fourteen_days)
    ///     .store(MemoryStore::new())
    ///     .adopt_ids_from_cookie("session_id", until.into())
    ///     .build()?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Security
    ///
    /// Until `until`, anyone who has an old id that was not taken yet is logged in as its owner. So
    /// import with ids only if nobody else ever had the file. Otherwise import without them: then
    /// the owner's next login takes the entries, with
    /// [`adopt_imported`](crate::Session::adopt_imported).
    ///
    /// An id is compared as the hash under which its row is. The store does not hold it.
    pub fn adopt_ids_from_cookie(mut self, name: impl Into<String>, until: OffsetDateTime) -> Self {
        self.old_ids = Some(OldIdSettings {
            name: name.into(),
            until,
        });
        self
    }
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
        let until = self.until.unix_timestamp_nanos().div_euclid(1_000_000);
        config.old_ids = Some(OldIds {
            template: Template::new(name, &removal),
            until: Millis::try_from(until).unwrap_or(0),
        });
        Ok(())
    }
}
