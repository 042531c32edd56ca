//! A store as requests use it.
//!
//! Without the feature `store` there is a [`Backend`] type but no value of it, so that callers need
//! no feature gates.

#[cfg(not(feature = "store"))]
mod disabled;
#[cfg(feature = "store")]
mod enabled;

use time::OffsetDateTime;

use super::OwnerTag;

#[cfg(not(feature = "store"))]
pub(crate) use self::disabled::{Backend, Lane, Turn};
#[cfg(feature = "store")]
pub(crate) use self::enabled::{Backend, Lane, Turn};

/// What a store keeps under a key.
pub(crate) struct Row<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) expires: OffsetDateTime,
    pub(crate) owner: Option<OwnerTag>,
}
