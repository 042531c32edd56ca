//! Where the state lives that does not fit a cookie, or is not to be in one: opaque bytes by key.
//!
//! A store knows no cookies, no keys of cryptography and no serde. What it keeps is sealed before it gets there and
//! judged after it comes back; it only has to keep it, and to lose no race.
//!
//! Anyone can write one: implement [`Store`], hold it to the suite of the feature `conformance`, and hand it to
//! [`SessionLayer::store`](crate::SessionLayer::store).

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod keeper;
#[cfg(feature = "memory")]
mod memory;
mod operate;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sql;
mod turns;

use std::{fmt, future::Future};

use time::OffsetDateTime;

#[cfg(feature = "memory")]
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::sql::SqliteStore;
pub use self::{
    error::{StoreError, StoreErrorKind},
    operate::{Operate, Statistics, prune_every},
};
pub(crate) use self::{
    keeper::{Keeper, Row},
    turns::Turn,
};

/// The most bytes that are ever given to a store as one session: 64 KiB.
pub const MAX_BYTES: usize = 64 * 1024;

/// Keeps sessions as opaque bytes by key.
///
/// Five promises make a store one that loses no write and brings no session back:
///
/// - [`create`](Self::create) inserts and never replaces,
/// - [`save`](Self::save) replaces the version that it was given and no other, and never inserts,
/// - [`touch`](Self::touch) changes when a session expires and nothing else,
/// - of calls at the same time, from any number of instances, one comes first,
/// - a call that is dropped at any point happened or did not, and harms no later one.
///
/// Every session is kept with its end and is forgotten after it, soon or late: whether it has ended is judged by the
/// layer, not by the store. A store may still have it, or not.
///
/// ```
/// use tower_sealed_session::store::{Creation, OwnerTag, Saving, Store, StoreError, StoreKey, Stored, Version};
/// use tower_sealed_session::OffsetDateTime;
///
/// /// Keeps nothing, as a store does whose disk was wiped.
/// struct Forgetful;
///
/// impl Store for Forgetful {
///     async fn load(&self, _: StoreKey) -> Result<Option<Stored>, StoreError> {
///         Ok(None)
///     }
///     async fn create(
///         &self, _: StoreKey, _: &[u8], _: OffsetDateTime, _: Option<OwnerTag>,
///     ) -> Result<Creation, StoreError> {
///         Ok(Creation::Created(Version::new(1)))
///     }
///     async fn save(
///         &self, _: StoreKey, _: Version, _: &[u8], _: OffsetDateTime, _: Option<OwnerTag>,
///     ) -> Result<Saving, StoreError> {
///         Ok(Saving::Gone)
///     }
///     async fn touch(&self, _: StoreKey, _: Version, _: OffsetDateTime) -> Result<bool, StoreError> {
///         Ok(false)
///     }
///     async fn delete(&self, _: StoreKey) -> Result<bool, StoreError> {
///         Ok(false)
///     }
///     async fn delete_owner(&self, _: OwnerTag) -> Result<u64, StoreError> {
///         Ok(0)
///     }
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// What is kept under a key.
    fn load(
        &self,
        key: StoreKey,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Keeps a session under a key that has none: an insert, never a replacement.
    fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> impl Future<Output = Result<Creation, StoreError>> + Send;

    /// Replaces a session, its end and its owner, if it is still at the version `expected`: never an insert.
    fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> impl Future<Output = Result<Saving, StoreError>> + Send;

    /// Moves a session's end, which leaves its version and bytes as they are, if it is still at the version `expected`. `false`: it is not,
    /// or there is none.
    fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Forgets a session. `false`: there was none.
    fn delete(&self, key: StoreKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Forgets all sessions of an owner that are there when it is called, also those that move to another key
    /// meanwhile, and says how many there were.
    fn delete_owner(&self, owner: OwnerTag)
    -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A session as a store has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The version that it is at.
    pub version: Version,
    /// What was given to [`Store::create`] or [`Store::save`], to the byte.
    pub bytes: Vec<u8>,
    /// When it ends: what was given last, to the millisecond.
    pub expires: OffsetDateTime,
}

/// What came of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is kept, at that version.
    Created(Version),
    /// The key has a session, which stays as it is.
    Exists,
}

/// What came of [`Store::save`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saving {
    /// It is kept, at that version.
    Saved(Version),
    /// Another call came first: what is there now.
    Conflict(Stored),
    /// There is none, or no longer.
    Gone,
}

/// A version of a stored session: each call that replaces it gives it another, greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of that number. Stores use numbers below 2^53, which every database counts exactly.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The name of a session in a store: a hash of its id, so that nobody who reads the store can use it.
///
/// `SHA-256("tower-sealed-session/v1 store" ‖ LP(cookie name) ‖ LP(audience) ‖ id)[..16]`, where `LP(x)` is the length as
/// two bytes, big-endian, and x. `Debug` shows the first 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 16]);

impl StoreKey {
    /// The key of those bytes, for tests of stores.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Names an owner in a store's index: `HMAC-SHA-256(key, owner)[..16]`, under a key of the layer's, so that the index holds no
/// personal data. `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerTag([u8; 16]);

impl OwnerTag {
    /// The tag of those bytes, for tests of stores.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("version", &self.version)
            .field("bytes", &self.bytes.len())
            .field("expires", &self.expires)
            .finish()
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OwnerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerTag(..)")
    }
}
