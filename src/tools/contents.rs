//! What a row of a store holds.

use crate::{
    layer::SessionLayer,
    store::{StoreKey, Stored},
    stored::Kind,
};

/// What a row of a store holds, see [`contents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Contents {
    /// A session. Whether it has expired, the row's `expires` tells.
    Session,
    /// What is left of a session that ended, so that requests in flight cannot bring it back.
    Ended,
    /// A pointer to the row that the session moved to.
    Moved,
    /// Imported entries that wait for the next login of their owner or for their old id, or that a
    /// login took.
    Imported,
    /// The keys of the layer do not open it: another app, cookie name or audience has it, its secret
    /// is not on the ring, or it was changed.
    Unreadable,
}

/// Opens a row that [`Operate::scan`](crate::store::Operate::scan) returned with the keys of a
/// layer, and tells what it holds.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # async fn count(layer: &tower_sealed_session::SessionLayer) -> Result<u64, tower_sealed_session::store::StoreError> {
/// use tower_sealed_session::{store::{MemoryStore, Operate}, tools::{Contents, contents}};
///
/// let store = MemoryStore::new();
/// let (mut sessions, mut from) = (0, None);
/// loop {
///     let part = store.scan(from).await?;
///     for (key, row) in &part.sessions {
///         sessions += u64::from(contents(layer, *key, row) == Contents::Session);
///     }
///     from = part.next;
///     if from.is_none() {
///         break Ok(sessions);
///     }
/// }
/// # }
/// ```
#[must_use]
pub fn contents(layer: &SessionLayer, key: StoreKey, row: &Stored) -> Contents {
    match Kind::of(layer.vault(), key, row.clone()) {
        Ok(Kind::Live(_)) => Contents::Session,
        Ok(Kind::Ended) => Contents::Ended,
        Ok(Kind::Moved) => Contents::Moved,
        Ok(Kind::Imported) => Contents::Imported,
        Err(_) => Contents::Unreadable,
    }
}
