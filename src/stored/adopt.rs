//! Moving sessions from the old store to the new one.
//!
//! The row that was read becomes a pointer to the new row. That save decides: a write, a logout or
//! another move that came first makes it fail.

use super::{
    commit::{Kept, StoreCommit, TRIES},
    errors::{contended, is_silence},
    rows::Replacing,
};
use crate::{
    error::Error,
    event::Event,
    session::{Draft, Outcome, Previous},
};

impl StoreCommit<'_> {
    /// Moves a changed session to the new store.
    pub(super) async fn adopt(&self, draft: &mut Draft) -> Result<Kept, Error> {
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let previous = draft.previous.expect("a session that moves came in");
            let found = match self.try_adopt(draft).await? {
                Replacing::Done(row) => return Ok(Kept::Row(row)),
                Replacing::Conflict(found) => self.rows.end_of(*found).await?,
            };
            if let Some(kept) = self.go_on(draft, previous, found)? {
                return Ok(kept);
            }
            let row = draft.previous.and_then(|previous| previous.row);
            let moves = row.is_some_and(|row| self.rows.has_to_move(row));
            if !moves || draft.outcome == Outcome::Emptied {
                return self.update(draft).await;
            }
        }
        Err(contended())
    }

    /// Moves a session to the new store, if no request has changed it since it was read.
    pub(super) async fn try_adopt(&self, draft: &mut Draft) -> Result<Replacing, Error> {
        let Some(Previous {
            head,
            row: Some(row),
        }) = draft.previous
        else {
            unreachable!("the session is in the old store")
        };
        let unnamed = self.create_unnamed(draft).await?;
        let pointed = self.rows.point(head, row, unnamed.family, self.now).await;
        match pointed {
            Ok(Replacing::Done(_)) => {
                let row = self.make_permanent(draft, unnamed).await?;
                Event::Adopted(draft.head.id).emit(self.rows.metrics());
                Ok(Replacing::Done(row))
            }
            // the pointer may be there, so the row has to stay
            Err(error) if is_silence(&error) => {
                let _ = self.make_permanent(draft, unnamed).await;
                Err(error)
            }
            kept => {
                unnamed.discard().await;
                kept
            }
        }
    }
}
