//! Finding the row of a session, in either store and behind pointers.

use super::{errors::contended, found::Found, rows::Rows};
use crate::{
    error::Error,
    id::Family,
    session::Place,
    store::{StoreKey, Stored},
};

/// The maximum number of pointers that lead to a session. While instances disagree on which store
/// is the old one, a session moves to and fro.
pub(super) const POINTERS: usize = 8;

impl Rows<'_> {
    /// Loads the row of that family. It never changes its place: a session that moves gets another
    /// family. So it cannot be missed between the two stores.
    pub(super) async fn find(&self, family: Family) -> Result<Found, Error> {
        Ok(match self.stored(self.key(family)).await? {
            Some(stored) => Found::read(self.vault(), family, stored),
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
        self.end_of(found).await
    }

    /// Follows pointers to the row of the session.
    pub(super) async fn end_of(&self, mut found: Found) -> Result<Found, Error> {
        for _ in 0..POINTERS {
            let Found::Moved(to) = found else {
                return Ok(found);
            };
            found = match self.find(to).await? {
                Found::Absent => return Ok(Found::Moved(to)),
                found => found,
            };
        }
        match found {
            // the session exists, so the visitor must not begin another one
            Found::Moved(_) => Err(contended()),
            found => Ok(found),
        }
    }
}
