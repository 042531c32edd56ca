//! Whether the session in a row of a store was revoked.

use crate::{
    layer::SessionLayer,
    store::{StoreKey, Stored},
    stored::Kind,
};

/// Whether a row that [`Operate::scan`](crate::store::Operate::scan) returned holds a session that
/// the log of revocations of the layer refuses: it began before all sessions of its owner, or all of
/// the layer, were revoked. Such a row opens nothing, but its content stays until it expires.
///
/// `false` if the layer has no log, and for rows that hold no session, see
/// [`contents`](super::contents()).
///
/// ```
/// # #[cfg(feature = "memory")]
/// # async fn count(app: &tower_sealed_session::SessionLayer) -> Result<u64, tower_sealed_session::store::StoreError> {
/// use tower_sealed_session::{Revocations, store::{MemoryStore, Operate}, tools::is_revoked};
///
/// let store = MemoryStore::new();
/// let layer = app.clone().revocations(Revocations::sharing(&store).await?);
/// let (mut revoked, mut from) = (0, None);
/// loop {
///     let part = store.scan(from).await?;
///     for (key, row) in &part.sessions {
///         revoked += u64::from(is_revoked(&layer, *key, row));
///     }
///     from = part.next;
///     if from.is_none() {
///         break Ok(revoked);
///     }
/// }
/// # }
/// ```
#[must_use]
pub fn is_revoked(layer: &SessionLayer, key: StoreKey, row: &Stored) -> bool {
    let Some(revoking) = &layer.config().revoking else {
        return false;
    };
    match Kind::of(layer.vault(), key, row.clone()) {
        Ok(Kind::Live(record)) => revoking.has_revoked(record.head.times.created, record.owner()),
        _ => false,
    }
}
