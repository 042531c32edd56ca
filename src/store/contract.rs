//! The contract between a layer and its store.

use std::{fmt, future::Future};

use time::OffsetDateTime;

use super::error::StoreError;

/// The maximum size of one session in a store: 64 KiB.
pub const MAX_BYTES: usize = 64 * 1024;

/// A store of sessions: opaque bytes by key.
///
/// A store must keep six promises, so that no write is lost and no ended session comes back:
///
/// - [`create`](Self::create) inserts and never replaces.
/// - [`save`](Self::save) replaces only the version it was given, and never inserts.
/// - [`touch`](Self::touch) changes when a session expires and nothing else.
/// - Concurrent calls, from any number of instances, are applied one after the other.
/// - A call that is dropped at any point is applied completely or not at all. It does not affect
///   later calls.
/// - A call is applied at most once. The store sends each operation once, and its client library
///   must not send it again, for example after a lost connection: a second `create` could bring
///   back a session that was deleted in the meantime, and a second `save` conflicts with the first
///   one. An operation that had no effect for certain may be sent again.
///
/// # Versions
///
/// The layer chooses the versions, and a store never counts. After [`create`](Self::create) and
/// [`save`](Self::save) a session has exactly the version of the row. It can be any number below
/// 2^53.
///
/// The layer begins a session at a random number below 2^52 and adds one with each save. So no
/// version repeats under a key, not even after a delete. Otherwise, a late `save` of a request that
/// saw a deleted session would replace a new one under its key.
///
/// # Ends
///
/// A session is stored together with the time when it ends. The store may delete it at any time
/// after its end. The layer decides whether a session has expired, so it does not matter when the
/// store deletes it.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "store")] {
/// use tower_sealed_session::OffsetDateTime;
/// use tower_sealed_session::store::{
///     Creation, OwnerTag, Row, Saving, Store, StoreError, StoreKey, Stored, Version,
/// };
///
/// /// A store that is always empty.
/// struct Empty;
///
/// impl Store for Empty {
///     async fn load(&self, _: StoreKey) -> Result<Option<Stored>, StoreError> {
///         Ok(None)
///     }
///     async fn create(&self, _: StoreKey, _: &Row<'_>) -> Result<Creation, StoreError> {
///         Ok(Creation::Created)
///     }
///     async fn save(
///         &self, _: StoreKey, _: Version, _: &Row<'_>, _: Option<OwnerTag>,
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
///     async fn list_owner(
///         &self, _: &[OwnerTag],
///     ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
///         Ok(Vec::new())
///     }
///     async fn delete_owner(&self, _: &[OwnerTag], _: &[StoreKey]) -> Result<u64, StoreError> {
///         Ok(0)
///     }
/// }
/// # }
/// ```
pub trait Store: Send + Sync + 'static {
    /// The kind of this store: the label `store` of its metrics. It must be a constant.
    fn kind(&self) -> &'static str {
        "custom"
    }

    /// Loads the session under a key, if there is one.
    fn load(
        &self,
        key: StoreKey,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Inserts a session under a key. It never replaces one that is there.
    fn create(
        &self,
        key: StoreKey,
        row: &Row<'_>,
    ) -> impl Future<Output = Result<Creation, StoreError>> + Send;

    /// Replaces a session if its version equals `expected`. It never inserts.
    ///
    /// `previous` is the owner of the stored session, as [`load`](Self::load) or
    /// [`Saving::Conflict`] returned it with the version `expected`. A store that keeps its index
    /// of owners apart from the sessions needs it. Other stores may ignore it.
    fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> impl Future<Output = Result<Saving, StoreError>> + Send;

    /// Changes when a session expires, if its version equals `expected`. Version, bytes and owner
    /// stay as they are. Returns `false` if the version is another one, or if there is no session.
    fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Deletes a session. Returns `false` if there was none.
    fn delete(&self, key: StoreKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Returns up to 1000 sessions of one owner with their keys, in any order, also those that have
    /// expired. The owner has one tag for each secret of the layer, and a session keeps the tag that
    /// it was written with. So these are the sessions that have any of these tags.
    fn list_owner(
        &self,
        owner: &[OwnerTag],
    ) -> impl Future<Output = Result<Vec<(StoreKey, Stored)>, StoreError>> + Send;

    /// Deletes the sessions of one owner that have any of these tags, and returns how many. Those
    /// under the keys `except` stay.
    ///
    /// For each session, all tags are checked in one atomic step. Otherwise, a session that changes
    /// from one of the tags to another during the call could be missed.
    ///
    /// To bound the time of a call, it may stop after some hundred sessions. The caller repeats the
    /// call until it returns 0. It returns **0 only if no session of this owner is left**, except
    /// those under `except`.
    fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A session to store.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row<'a> {
    /// The version that it gets, exactly.
    pub version: Version,
    /// Its bytes, at most [`MAX_BYTES`].
    pub bytes: &'a [u8],
    /// When it expires. Stores keep at least the milliseconds.
    pub expires: OffsetDateTime,
    /// The tag of its owner, if it has one.
    pub owner: Option<OwnerTag>,
}

impl<'a> Row<'a> {
    /// A row with these values, for tests of stores.
    #[must_use]
    pub const fn new(
        version: Version,
        bytes: &'a [u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Self {
        Self {
            version,
            bytes,
            expires,
            owner,
        }
    }
}

/// A session in a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version: that of the row that was created or saved last.
    pub version: Version,
    /// The bytes of that row.
    pub bytes: Vec<u8>,
    /// When it expires: the last value given, to the millisecond.
    pub expires: OffsetDateTime,
    /// The owner of that row.
    pub owner: Option<OwnerTag>,
}

impl From<&Row<'_>> for Stored {
    /// The session that this row becomes.
    fn from(row: &Row<'_>) -> Self {
        Self {
            version: row.version,
            bytes: row.bytes.to_vec(),
            expires: row.expires,
            owner: row.owner,
        }
    }
}

/// The result of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was inserted.
    Created,
    /// The key has a session already, which was not changed.
    Exists,
}

/// The result of [`Store::save`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saving {
    /// It was replaced.
    Saved,
    /// The session has another version. This is the stored session.
    Conflict(Stored),
    /// There is no session under the key.
    Gone,
}

/// The version of a stored session. No two rows under a key have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version with that number. The layer uses numbers below 2^53, which every database
    /// represents exactly.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version of the row that replaces this one. It wraps below 2^53, since whoever can write
    /// to the store could set the maximum.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1) & ((1 << 53) - 1))
    }
}

/// The key of a session in a store: a hash, so that reading the store does not reveal ids.
///
/// ```text
/// SHA-256("tower-sealed-session/v1 store" ‖ LP(cookie name) ‖ LP(audience) ‖ created 6 ‖ family 8)[..16]
/// ```
///
/// `LP(x)` is the length of x as two bytes, big-endian, followed by x. `created` is the time at which
/// the session began, in milliseconds since 1970, big-endian. `family` is the first half of its id.
/// `Debug` shows the first 4 bytes.
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

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("version", &self.version)
            .field("bytes", &self.bytes.len())
            .field("expires", &self.expires)
            .field("owner", &self.owner)
            .finish()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("version", &self.version)
            .field("bytes", &self.bytes.len())
            .field("expires", &self.expires)
            .field("owner", &self.owner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_after_the_maximum_is_a_version() {
        const MAX: u64 = (1 << 53) - 1;
        assert_eq!(Version::new(6).next(), Version::new(7));
        assert_eq!(Version::new(MAX).next(), Version::new(0));
        assert!(Version::new(u64::MAX).next().get() <= MAX);
    }
}
