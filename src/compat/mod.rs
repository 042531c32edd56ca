//! Session cookies of other systems: how to replace an app without logging its users out.
//!
//! A [`LegacyCookie`] is the session cookie of the app that is being replaced. It has a [`Format`],
//! such as [`Starlette`], and the settings of that app. There are three ways to use it.
//! [`guide::starlette`](crate::guide::starlette) describes the migration.
//!
//! | mode | cookies | use it when |
//! |---|---|---|
//! | [`migrate`] | reads both, writes ours, removes the legacy one | the legacy app is gone |
//! | [`dual_write`] | reads the newer, writes both | the legacy app still runs, or may run again |
//! | [`SignedSessionLayer`] | reads and writes only the legacy one | both apps stay |
//!
//! [`migrate`]: crate::SessionLayerBuilder::migrate
//! [`dual_write`]: crate::SessionLayerBuilder::dual_write
//! [`SignedSessionLayer`]: crate::SignedSessionLayer
//!
//! ```
//! # #[cfg(feature = "starlette")] {
//! use std::time::Duration;
//! use tower_sealed_session::{
//!     KeyRing, OffsetDateTime, SessionLayer,
//!     compat::{LegacyCookie, Starlette},
//! };
//!
//! let fourteen_days = Duration::from_secs(14 * 24 * 3600);
//! let until = OffsetDateTime::now_utc() + fourteen_days;
//! let old = LegacyCookie::new(Starlette::new(["the legacy app's secret_key"])?, fourteen_days)
//!     .owner(|entries| entries.get::<u64>("user_id").map(|id| id.to_string()));
//! let sessions = SessionLayer::builder(KeyRing::ephemeral()?)
//!     .idle_timeout(fourteen_days)
//!     .absolute_timeout(fourteen_days)
//!     .migrate(old, until)
//!     .build()?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cookie;
mod format;
mod json;
mod legacy;
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
