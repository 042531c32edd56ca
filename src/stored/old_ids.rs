//! Sessions that were imported with their ids. The first request with an old id moves the entries to
//! a session with an id of its own, and replaces the row by a tombstone that names the new family.
//! That save decides which request is the first one.
//!
//! The requests of one page bring the old id at the same time. So for ten seconds, the tombstone
//! leads to the new session, as long as that has the serial it began with. After that, the old id
//! opens nothing. Only a login of the same owner continues the session, and a logout ends it.

use super::{
    commit::StoreCommit,
    content::{Ending, Tombstone, encode_tombstone},
    errors::{contended, is_silence},
    found::Found,
    imported::Progress,
    imports::{Loaded, TRIES, There},
    load::flies,
    rows::{GUARD, Rows},
    vault::Under,
};
use crate::{
    clock::{self, Millis},
    entries::Entries,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    id::Replaced,
    key::Age,
    record::{Head, Record},
    session::{Arrival, Draft, Fate, Incoming, Origin, Place, RowRef, Stale, State},
    store::Saving,
};

/// The maximum length of an old id in bytes.
pub(crate) const MAX_OLD_ID: usize = 256;

/// What a request with an old id found.
enum Step {
    Arrived(Arrival),
    Rejected(Reason, Arrival),
    /// Another request or program changed the row since it was read.
    Again,
}

impl Rows<'_> {
    /// The session of an old id, which came with a request at `arrived`.
    pub(crate) async fn adopt_id(
        &self,
        id: &[u8],
        now: Millis,
        arrived: Option<Millis>,
        clock: &clock::Source,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Arrival, Error> {
        for tries in 0..TRIES {
            let step = match self.imported(Under::OldId(id)).await? {
                None => Step::Arrived(Arrival::new(now, None)),
                Some(There::Taken(tombstone)) => {
                    self.join(tombstone, now, arrived.unwrap_or(now)).await?
                }
                Some(There::Unreadable) => {
                    Step::Rejected(Reason::Unreadable, Arrival::new(now, None))
                }
                Some(There::Row(there)) => match there.content.progress {
                    // it may have moved to the new store after that was asked
                    Progress::Taken(_) if there.row.place == Place::Old && tries == 0 => {
                        Step::Again
                    }
                    Progress::Taken(_) => Step::Rejected(Reason::Replaced, Arrival::new(now, None)),
                    progress if progress.is_free(now) => self.take(there, now, clock).await?,
                    // it is moving to the new store
                    Progress::Claimed(_) | Progress::Waits(_) => return Err(contended()),
                },
            };
            match step {
                Step::Arrived(arrival) => return Ok(arrival),
                Step::Rejected(reason, arrival) => {
                    events.push(Event::Rejected(reason));
                    return Ok(arrival);
                }
                Step::Again => {}
            }
        }
        Err(contended())
    }

    /// Begins a session with the entries, as old as the import.
    async fn take(&self, there: Loaded, now: Millis, clock: &clock::Source) -> Result<Step, Error> {
        let Loaded { key, row, content } = there;
        let rules = self.rules;
        let rejected = |reason| Step::Rejected(reason, Arrival::new(now, None));
        // a whole second, as for a legacy cookie, since nobody has logged in here
        let times = rules.new_times(content.progress.since() / 1000 * 1000);
        if let Err(untimely) = rules.timeouts.check(times, now) {
            return Ok(rejected(untimely.into()));
        }
        if now >= row.expires {
            return Ok(rejected(Reason::Expired));
        }
        let mut record = content.record;
        record.head = Head {
            id: rules.draw_id()?,
            times,
        };
        let state = State::new(rules, Arrival::new(now, Some(adopted(record, row))));
        let commit = StoreCommit::new(*self, &state, clock, false)?;
        let mut draft = Draft::new(&state, rules, now)?;
        let unnamed = commit.create_unnamed(&mut draft).await?;
        let tombstone = Tombstone::new(Ending::Moved, now, Some(unnamed.family));
        let tombstone = tombstone.of(Replaced::default(), draft.head.id.serial());
        let after = RowRef {
            version: row.version.next(),
            expires: now.saturating_add(GUARD),
            owner: None,
            ..row
        };
        let row = match self
            .write(key, row, after, encode_tombstone(&tombstone))
            .await
        {
            Ok(Saving::Saved) => match commit.make_permanent(&draft, unnamed).await {
                // another request has found it and ended it
                Err(error) if error.kind() == ErrorKind::Ended => return Ok(Step::Again),
                row => row?,
            },
            Ok(Saving::Conflict(_) | Saving::Gone) => {
                unnamed.discard().await;
                return Ok(Step::Again);
            }
            // the tombstone may be there, so the row has to stay
            Err(error) if is_silence(&error) => {
                let _ = commit.make_permanent(&draft, unnamed).await;
                return Err(error);
            }
            Err(error) => {
                unnamed.discard().await;
                return Err(error);
            }
        };
        Event::OldIdTaken(draft.head.id).emit(self.metrics());
        let entries = Entries::trusted(&draft.entries);
        let record = Record::of(draft.head, draft.owner.as_deref(), entries);
        Ok(Step::Arrived(Arrival::new(now, Some(adopted(record, row)))))
    }

    /// The session that a request before has begun.
    async fn join(
        &self,
        tombstone: Tombstone,
        now: Millis,
        arrived: Millis,
    ) -> Result<Step, Error> {
        let Some(family) = tombstone.next else {
            return Ok(Step::Rejected(Reason::Replaced, Arrival::new(now, None)));
        };
        let stale = |changes| Arrival {
            stale: Some(Box::new(Stale {
                family,
                changes,
                in_store: true,
            })),
            ..Arrival::new(now, None)
        };
        if !flies(arrived, tombstone.at) {
            return Ok(Step::Rejected(Reason::Replaced, stale(Fate::Begin)));
        }
        Ok(match self.follow(family).await? {
            Found::Live(record, row) => {
                let serial = record.head.id.serial();
                if tombstone.replaced.when(serial).is_none() {
                    return Ok(Step::Rejected(Reason::Replaced, stale(Fate::Fail)));
                }
                let row = RowRef {
                    ticket: false,
                    ..row
                };
                match self.incoming(record, row, now) {
                    Ok(incoming) => Step::Arrived(Arrival::new(now, Some(incoming))),
                    Err(untimely) => Step::Rejected(untimely.into(), stale(Fate::Begin)),
                }
            }
            Found::Ended(over) => {
                let changes = match over.ending {
                    Ending::LoggedOut => Fate::Drop,
                    Ending::LoggedIn | Ending::Moved => Fate::Fail,
                };
                Step::Rejected(Reason::Ended, stale(changes))
            }
            Found::Unreadable(_) => Step::Rejected(Reason::Unreadable, stale(Fate::Unreadable)),
            Found::Moved(_) | Found::Absent => Step::Rejected(Reason::Gone, stale(Fate::Begin)),
        })
    }
}

/// A session that begins with what was imported.
fn adopted(record: Record, row: RowRef) -> Incoming {
    Incoming {
        record,
        age: Age::Current,
        origin: Origin::Adopted,
        row: Some(Box::new(row)),
    }
}
