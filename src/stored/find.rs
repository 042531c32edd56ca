//! Finding the row of a session, in either store and behind pointers.

use super::{errors::contended, found::Found, rows::Rows};
use crate::{
    error::Error,
    id::Family,
    session::Place,
    store::{StoreKey, Stored},
};

/// The maximum number of pointers that lead to a session. While instances disagree on which store
/// is the old one, it moves with almost every request, and a slow one has to follow all moves.
pub(super) const POINTERS: usize = 32;

impl Rows<'_> {
    /// Loads the row of that family. It never changes its place: a session that moves gets another
    /// family. So it cannot be missed between the two stores.
    pub(super) async fn find(&self, family: Family) -> Result<Found, Error> {
        Ok(match self.stored(self.key(family)).await? {
            Some(stored) => Found::read(self.vault(), self.metrics(), family, stored),
            None => Found::Absent,
        })
    }

    /// Loads what is under a key, from the store that has it.
    pub(super) async fn stored(&self, key: StoreKey) -> Result<Option<(Place, Stored)>, Error> {
        for (place, store) in self.storage.places() {
            if let Some(stored) = store.load(key).await.map_err(Error::store)? {
                return Ok(Some((place, stored)));
            }
        }
        Ok(None)
    }

    /// Loads the row of a session, also if it moved from that family to another one. A pointer that
    /// leads nowhere is returned as it is.
    pub(super) async fn follow(&self, family: Family) -> Result<Found, Error> {
        let found = self.find(family).await?;
        match found {
            Found::Moved(_) => Box::pin(self.end_of(found)).await,
            found => Ok(found),
        }
    }

    /// Follows pointers to the row of the session, for at most as long as a commit may take.
    pub(super) async fn end_of(&self, found: Found) -> Result<Found, Error> {
        let Found::Moved(mut to) = found else {
            return Ok(found);
        };
        let deadline = self.backend().deadline();
        for _ in 0..POINTERS {
            to = match self.find(to).await? {
                Found::Moved(next) => next,
                Found::Absent => return Ok(Found::Moved(to)),
                found => return Ok(found),
            };
            if deadline.has_passed() {
                break;
            }
        }
        // the session exists, so the visitor must not begin another one
        Err(contended())
    }
}
