//! Takes over sessions that were imported with their ids.

use time::OffsetDateTime;

use super::{builder::SessionLayerBuilder, old_id_settings::OldIdSettings};

impl SessionLayerBuilder {
    /// Takes over the sessions that were imported with their old ids: a visitor who has the cookie
    /// `name` of the old system and none of ours continues the session that was imported for the id
    /// in that cookie. From `until` on, the cookie is ignored.
    ///
    /// The command `sealed-session import --accept-old-ids` makes the imports, and so does
    /// `tools::import` with the feature `tools`. Each id is taken once, by the first request that
    /// uses the session. The response sets our cookie, which has a new id, and removes the old one
    /// with the path `/`. Other requests of the same page, which bring the old id too, find the
    /// session for ten seconds. After that, the old id opens nothing; but if its visitor did not
    /// get the response and logs in again, the login continues the session.
    ///
    /// The session is as old as its import, and was used last then. So
    /// [`idle_timeout`](Self::idle_timeout) and [`absolute_timeout`](Self::absolute_timeout) must
    /// be set: with the defaults of an hour and a day, visitors who come later than that would not
    /// find their sessions. The layer needs a store. The event `old_id_taken` tells of each id.
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
