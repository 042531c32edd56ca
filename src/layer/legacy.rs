//! Moving from another system.

use time::OffsetDateTime;

use super::{builder::SessionLayerBuilder, companion::LegacySettings, session_layer::SessionLayer};
use crate::compat::{LegacyCookie, Mode};

/// # Moving from another system
///
/// With the feature `starlette`; see [`guide::starlette`](crate::guide::starlette).
impl SessionLayerBuilder {
    /// Takes over the sessions of an app that no longer runs.
    ///
    /// A visitor with the legacy cookie and without ours continues the legacy session. Its last use
    /// is the time when the legacy cookie was signed. The next response sets our cookie and removes
    /// the legacy one.
    ///
    /// From `until` on, the legacy cookie is ignored. [`idle_timeout`](Self::idle_timeout) and
    /// [`absolute_timeout`](Self::absolute_timeout) must be set, since they also apply to legacy
    /// sessions: begin with the legacy `max_age`. The defaults of an hour and a day would log out
    /// all visitors who were away for longer. [`SessionLayer::legacy_reads`] and the event
    /// `legacy_read` count the sessions that are read from the legacy cookie.
    ///
    /// # Security
    ///
    /// Until that date, a copy of a legacy cookie opens its session even after a logout, since the
    /// server does not know which legacy cookies have ended. Anyone with the legacy secret can
    /// forge one.
    pub fn migrate(self, old: LegacyCookie, until: OffsetDateTime) -> Self {
        self.with_legacy(old, Mode::Migrate, until)
    }

    /// Shares sessions with an app that still serves some routes, or that may serve them again.
    /// Both cookies are written, and the newer one is read.
    ///
    /// A login or logout in one app applies to both. The legacy app logs out by `session.clear()`,
    /// or by removing the entry that [`LegacyCookie::owner`] reads. To log a visitor in there,
    /// insert that entry after [`login`](crate::Session::login). Without `LegacyCookie::owner`,
    /// sessions that the legacy app has written have no owner.
    ///
    /// From `until` on, the legacy cookie is neither read nor written. As with
    /// [`migrate`](Self::migrate), the timeouts must be set, and the legacy sessions are counted.
    /// The entries are also in the legacy cookie, where anyone who has the cookie can read them.
    ///
    /// # Security
    ///
    /// The same as with [`migrate`](Self::migrate). In addition, while the legacy cookie is
    /// written, a visitor who keeps only that cookie is not bound by the absolute timeout.
    /// [`guide::starlette`](crate::guide::starlette) explains the effects of a captured or planted
    /// one.
    pub fn dual_write(self, old: LegacyCookie, until: OffsetDateTime) -> Self {
        self.with_legacy(old, Mode::Dual, until)
    }

    fn with_legacy(mut self, cookie: LegacyCookie, mode: Mode, until: OffsetDateTime) -> Self {
        self.legacy.push(LegacySettings {
            cookie,
            mode,
            until,
        });
        self
    }
}

impl SessionLayer {
    /// The number of sessions that were read from the legacy cookie since the layer was built.
    /// Clones share the count. When it no longer grows, [`migrate`](SessionLayerBuilder::migrate)
    /// is no longer needed.
    #[must_use]
    pub fn legacy_reads(&self) -> u64 {
        let companion = self.config().companion.as_ref();
        companion.map_or(0, |companion| companion.legacy.reads())
    }
}
