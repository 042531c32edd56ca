//! The log of revocations as a layer uses it.
//!
//! Without the feature `store` there is a [`Revocations`] type but no value of it, so that callers
//! need no feature gates.

#[cfg(not(feature = "store"))]
mod disabled;
#[cfg(feature = "store")]
mod enabled;

#[cfg(not(feature = "store"))]
pub(crate) use self::disabled::Revocations;
#[cfg(feature = "store")]
pub use self::enabled::Revocations;
