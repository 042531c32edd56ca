use super::{Keeping, TRIES, contended, fail, unreadable};
use crate::{
    ended,
    error::Error,
    session::Before,
    slot::{
        rows::{Found, Turned},
        storage::Mode,
    },
};

/// How long a line of successors may be.
const LINE: usize = 16;

impl Keeping<'_> {
    /// Ends the session that the request bore, and all that it went on as meanwhile.
    pub(super) async fn log_out(&self) -> Result<(), Error> {
        if self.state.is_told() {
            return Ok(());
        }
        let borne = self.state.borne().or_else(|| {
            let ended = self.state.ended()?;
            (ended.successor.id != ended.id).then_some(Before::of(ended.successor))
        });
        if let Some(before) = borne {
            if before.held.is_none() && self.rows.storage.mode != Mode::Store {
                // as where no store is
                ended::end(before.head.id);
            }
            self.end_line(before).await?;
        }
        self.state.note_told();
        Ok(())
    }

    /// Ends a session and its successors.
    pub(super) async fn end_line(&self, first: Before) -> Result<(), Error> {
        let mut next = first;
        for _ in 0..LINE {
            let turn = match next.held {
                Some(_) => Some(self.rows.wait(next.head.id).await?),
                None => None,
            };
            let ended = self.end_for_good(next).await;
            if let (Err(error), Some(turn)) = (&ended, turn) {
                fail(&turn, error);
            }
            match ended? {
                Some(successor) => next = successor,
                None => return Ok(()),
            }
        }
        Err(contended())
    }

    /// The session that it went on as, if another request renewed it before.
    async fn end_for_good(&self, before: Before) -> Result<Option<Before>, Error> {
        let Before { head, mut held } = before;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let found = match held {
                Some(held) => {
                    match self.rows.end(head.id, held.version, head, self.now).await {
                        Ok(Turned::Done(_) | Turned::Gone) => return Ok(None),
                        Ok(Turned::Met(found)) => Some(found),
                        // no room for a tombstone; what is under this id now goes, and what it went on as stays to be found
                        Err(error) if error.is_full() => match self.find(head.id).await? {
                            Some(Found::Live(..)) => {
                                self.rows.delete(head.id).await?;
                                return Ok(None);
                            }
                            found => found,
                        },
                        Err(error) => return Err(error),
                    }
                }
                None => match self.rows.leave(head, head, false, self.now).await? {
                    true => return Ok(None),
                    false => self.find(head.id).await?,
                },
            };
            match found {
                Some(Found::Live(_, now_held)) => held = Some(now_held),
                Some(Found::Ended(next) | Found::Moved(next)) if next.id != head.id => {
                    return Ok(Some(Before::of(next)));
                }
                Some(Found::Ended(_) | Found::Moved(_)) => return Ok(None),
                Some(Found::Unreadable) => return Err(unreadable()),
                None => held = None,
            }
        }
        Err(contended())
    }
}
