use super::{Keeping, TRIES, contended, unreadable};
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
        let mut next = match (self.state.borne(), self.state.ended()) {
            (Some(before), _) => Some(before),
            (None, Some(ended)) if ended.successor.id != ended.id => Some(Before {
                head: ended.successor,
                held: None,
            }),
            _ => None,
        };
        if self.state.is_told() {
            return Ok(());
        }
        for _ in 0..LINE {
            let Some(before) = next else {
                self.state.note_told();
                return Ok(());
            };
            if before.held.is_none() && self.rows.storage.mode != Mode::Store {
                // as where no store is
                ended::end(before.head.id);
            }
            let _turn = self.rows.wait(before.head.id).await?;
            next = self.end_for_good(before).await?;
        }
        Err(contended())
    }

    /// The session that it went on as, if another request renewed it before.
    async fn end_for_good(&self, before: Before) -> Result<Option<Before>, Error> {
        let Before { head, mut held } = before;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let found = match held {
                Some(held) => match self.rows.end(head.id, held.version, head, self.now).await? {
                    Turned::Done(_) | Turned::Gone => return Ok(None),
                    Turned::Met(found) => Some(found),
                },
                None => match self.rows.leave(head, head, false, self.now).await? {
                    true => return Ok(None),
                    false => self.find(head.id).await?,
                },
            };
            match found {
                Some(Found::Live(_, now_held)) => held = Some(now_held),
                Some(Found::Ended(next) | Found::Moved(next)) if next.id != head.id => {
                    return Ok(Some(Before {
                        head: next,
                        held: None,
                    }));
                }
                Some(Found::Ended(_) | Found::Moved(_)) => return Ok(None),
                Some(Found::Unreadable) => return Err(unreadable()),
                None => held = None,
            }
        }
        Err(contended())
    }
}
