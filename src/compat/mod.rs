//! Cookies of other systems: how users come from there without logging anyone out.
//!
//! A [`LegacyCookie`] is the session cookie of the app that is to be replaced: a [`Format`], such as [`Starlette`], and the
//! settings that it had there. Three modes use it; [`guide::starlette`](crate::guide::starlette) has the plan.
//!
//! | mode | who reads what | for |
//! |---|---|---|
//! | [`migrate`](crate::SessionLayerBuilder::migrate) | ours, else the old cookie, which ours replaces | the old app is gone |
//! | [`dual_write`](crate::SessionLayerBuilder::dual_write) | the newer one; both are written | the old app still serves, or may have to again |
//! | [`SignedSessionLayer`](crate::SignedSessionLayer) | the old cookie alone, in both directions | both apps stay |
//!
//! ```
//! use std::time::Duration;
//! use tower_sealed_session::{
//!     KeyRing, OffsetDateTime, SessionLayer,
//!     compat::{LegacyCookie, Starlette},
//! };
//!
//! let fourteen_days = Duration::from_secs(14 * 24 * 3600);
//! let until = OffsetDateTime::now_utc() + fourteen_days;
//! let old = LegacyCookie::new(Starlette::new(["the old app's secret_key"])?, fourteen_days)
//!     .owner(|entries| entries.get::<u64>("user_id").map(|id| id.to_string()));
//! let sessions = SessionLayer::builder(KeyRing::ephemeral()?)
//!     .idle_timeout(fourteen_days)
//!     .absolute_timeout(fourteen_days)
//!     .migrate(old, until)
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cookie;
mod format;
mod json;
mod legacy;
#[cfg(feature = "starlette")]
mod python;
#[cfg(feature = "starlette")]
mod starlette;

#[cfg(feature = "starlette")]
pub use self::starlette::{EmptySecret, Starlette};
pub use self::{
    cookie::{LegacyCookie, LegacyEntries},
    format::{Format, Signed, Unreadable},
};
pub(crate) use self::{
    json::object_len,
    legacy::{Companion, Legacy, Mode, Newest, Read},
};
