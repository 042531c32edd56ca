//! The contract between a layer and its store.

use std::{fmt, future::Future};

use time::OffsetDateTime;

use super::error::StoreError;

/// The maximum size of one session in a store: 64 KiB.
pub const MAX_BYTES: usize = 64 * 1024;

/// A store of sessions: opaque bytes by key.
///
/// A store must keep five promises, so that no write is lost and no ended session comes back:
///
/// - [`create`](Self::create) inserts and never replaces.
/// - [`save`](Self::save) replaces only the version it was given, and never inserts.
/// - [`touch`](Self::touch) changes when a session expires and nothing else.
/// - Concurrent calls, from any number of instances, are applied one after the other.
/// - A call that is dropped at any point is applied completely or not at all. It does not affect
///   later calls.
///
/// A session is stored together with the time when it ends. The store may delete it at any time
/// after its end. The layer decides whether a session has expired, so it does not matter when the
/// store deletes it.
///
/// ```
/// # #[cfg(feature = "store")] {
/// use tower_sealed_session::OffsetDateTime;
/// use tower_sealed_session::store::{
///     Creation, OwnerTag, Saving, Store, StoreError, StoreKey, Stored, Version,
/// };
///
/// /// A store that is always empty.
/// struct Empty;
///
/// impl Store for Empty {
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
///     async fn touch(
///         &self, _: StoreKey, _: Version, _: OffsetDateTime,
///     ) -> Result<bool, StoreError> {
///         Ok(false)
///     }
///     async fn delete(&self, _: StoreKey) -> Result<bool, StoreError> {
///         Ok(false)
///     }
///     async fn delete_owner(&self, _: OwnerTag) -> Result<u64, StoreError> {
///         Ok(0)
///     }
/// }
/// # }
/// ```
pub trait Store: Send + Sync + 'static {
    /// Loads the session under a key, if there is one.
    fn load(
        &self,
        key: StoreKey,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Inserts a session under a key. It never replaces one that is there.
    fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> impl Future<Output = Result<Creation, StoreError>> + Send;

    /// Replaces a session, its end and its owner, if it still has the version `expected`. It never
    /// inserts.
    fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> impl Future<Output = Result<Saving, StoreError>> + Send;

    /// Changes when a session expires, if it still has the version `expected`. Version and bytes
    /// stay as they are. Returns `false` if the version is another one, or if there is no session.
    fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Deletes a session. Returns `false` if there was none.
    fn delete(&self, key: StoreKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Deletes all sessions that an owner has at the time of the call, including those that move to
    /// another key during it, and returns how many there were.
    fn delete_owner(&self, owner: OwnerTag)
    -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A session to store.
pub(crate) struct Row<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) expires: OffsetDateTime,
    pub(crate) owner: Option<OwnerTag>,
}

/// A session in a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version.
    pub version: Version,
    /// The bytes that were given to [`Store::create`] or [`Store::save`].
    pub bytes: Vec<u8>,
    /// When it expires: the last value given, to the millisecond.
    pub expires: OffsetDateTime,
}

/// The result of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was inserted with that version.
    Created(Version),
    /// The key has a session already, which was not changed.
    Exists,
}

/// The result of [`Store::save`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saving {
    /// It was replaced and now has that version.
    Saved(Version),
    /// The session has another version. This is the stored session.
    Conflict(Stored),
    /// There is no session under the key.
    Gone,
}

/// The version of a stored session. Each [`Store::save`] gives it a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version with that number. Stores use numbers below 2^53, which every database represents
    /// exactly.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next version.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The key of a session in a store: a hash of its id, so that reading the store does not reveal
/// ids.
///
/// `SHA-256("tower-sealed-session/v1 store" ‖ LP(cookie name) ‖ LP(audience) ‖ id)[..16]`, where
/// `LP(x)` is the length of x as two bytes, big-endian, followed by x. `Debug` shows the first 4
/// bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 16]);

impl StoreKey {
    /// A key with these bytes, for tests of stores.
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

/// The tag of an owner in a store's index: `HMAC-SHA-256(key, owner)[..16]` with a key of the
/// layer. So the index holds no personal data. `Debug` does not show the tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerTag([u8; 16]);

impl OwnerTag {
    /// A tag with these bytes, for tests of stores.
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
