//! Moving what is in an old store, without waiting for its visitors.

use crate::{
    error::Error,
    layer::SessionLayer,
    store::{StoreKey, Stored},
    stored,
};

/// What became of a row of the old store, see [`relocate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relocated {
    /// A session that can be used is in the new store now.
    Moved,
    /// What is left of a session, or imported entries, is in the new store now.
    Copied,
    /// The new store has it already.
    Known,
    /// A request has changed it since it was read: read it again.
    Changed,
    /// It has expired.
    Expired,
    /// The secrets of the layer do not open it. It stays where it is.
    Unreadable,
}

/// Moves a row that [`Operate::scan`](crate::store::Operate::scan) of the old store returned. The
/// layer has both stores: [`store`](SessionLayer::store) is the new one, and
/// [`read_from`](SessionLayer::read_from) the old one. So have all instances of the app.
///
/// The session moves as it would with its next request, and nobody is logged out. Unlike then, the
/// new store also gets a pointer for the old cookie. When a scan of the old store returns no row
/// that is [`Moved`](Relocated::Moved) or [`Changed`](Relocated::Changed), the app no longer needs
/// it.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the layer lacks a store, or if one
/// of them cannot be reached. Then the row can be moved again.
pub async fn relocate(
    layer: &SessionLayer,
    key: StoreKey,
    row: Stored,
) -> Result<Relocated, Error> {
    let config = layer.config();
    let rows = config.rows().filter(|rows| rows.has_old_store());
    let rows = rows.ok_or_else(Error::no_store)?;
    Ok(match rows.relocate(key, row, &config.clock).await? {
        stored::Relocated::Moved => Relocated::Moved,
        stored::Relocated::Copied => Relocated::Copied,
        stored::Relocated::Known => Relocated::Known,
        stored::Relocated::Changed => Relocated::Changed,
        stored::Relocated::Expired => Relocated::Expired,
        stored::Relocated::Unreadable => Relocated::Unreadable,
    })
}
