//! A store as requests use it.
//!
//! Without the feature `store` there is a [`Backend`] type but no value of it, so that callers need
//! no feature gates.

#[cfg(not(feature = "store"))]
mod disabled;
#[cfg(feature = "store")]
mod enabled;

#[cfg(not(feature = "store"))]
pub(crate) use self::disabled::{Backend, Deadline, Lane, Turn};
#[cfg(feature = "store")]
pub(crate) use self::enabled::{Backend, Deadline, Lane, Turn};
