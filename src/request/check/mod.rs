//! The app's own check of owners.
//!
//! Without the feature `check` there is a [`Check`] type but no value of it, so that callers need
//! no feature gates.

#[cfg(not(feature = "check"))]
mod disabled;
#[cfg(feature = "check")]
mod enabled;

#[cfg(not(feature = "check"))]
pub(crate) use self::disabled::{Check, Verdict};
#[cfg(feature = "check")]
pub(crate) use self::enabled::{Check, Verdict};
