#[cfg(feature = "starlette")]
use super::base::Origin;
use super::{
    outcome::{Change, Outcome},
    rules::Rules,
    state::{Changes, Phase, State, sizes},
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::Error,
    key::Age,
    record::{self, Head, SessionId, Times},
};

impl State {
    /// When it ends if it is not used again, by the times that it would be or was sealed with.
    pub(super) fn end(&self, rules: &Rules) -> Millis {
        let changes = self.lock();
        let mut times = changes.times;
        if let (Phase::Open, Some(opened)) = (changes.phase, self.opened())
            && (self.outcome(&changes) != Outcome::Keep || self.refresh_due(rules, opened))
        {
            times.issue(opened);
        }
        rules.timeouts.end(times)
    }

    /// Whether it is time to seal anew what came in, if nothing changes.
    pub(crate) fn refresh_due(&self, rules: &Rules, opened: Millis) -> bool {
        self.base().is_some_and(|base| {
            #[cfg(feature = "store")]
            if let Some(held) = base.held() {
                let times = base.record.head.times;
                return rules.timeouts.touch_due(times, held.expires, opened);
            }
            let fallback = base.age == Age::Fallback || base.origin.ages();
            !base.is_vacant()
                && rules
                    .timeouts
                    .refresh_due(base.record.head.times, fallback, opened)
        })
    }

    /// Decides what the response has to do. From now on nothing changes.
    pub(crate) fn settle(&self) -> Outcome {
        let mut changes = self.lock();
        let outcome = self.outcome(&changes);
        changes.phase = Phase::Sent {
            logged_out: changes.logged_out(),
        };
        outcome
    }

    /// Notes that the session was not sent, or that another request ended it.
    pub(crate) fn lose(&self) {
        self.lock().lost = true;
    }

    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.lock().phase, Phase::Sent { .. })
    }

    /// The record to seal at `now`, after `headroom` bytes and with room for `tail` more.
    ///
    /// Mutators see to it that it fits, but a record may have come in with less padding than it is given here.
    pub(crate) fn encode(
        &self,
        rules: &Rules,
        now: Millis,
        headroom: usize,
        tail: usize,
    ) -> Result<(Head, Vec<u8>), Error> {
        let mut changes = self.lock();
        let entries = self.entries(&changes);
        let owner = self.current_owner(&changes);
        rules.check(owner, entries.as_bytes().len(), || sizes(entries))?;
        changes.times.issue(now);
        let head = Head {
            id: changes.id(rules)?,
            times: changes.times,
        };
        let owner = self.current_owner(&changes);
        let bytes = record::encode(head, owner, self.entries(&changes), headroom, tail);
        Ok((head, bytes))
    }

    /// Its id, times that begin now, and who logged in, if anyone did.
    #[cfg(feature = "starlette")]
    pub(crate) fn begin_anew(
        &self,
        rules: &Rules,
        now: Millis,
    ) -> Result<(Head, Option<String>), Error> {
        let mut changes = self.lock();
        let entries = self.entries(&changes);
        rules.check(None, entries.as_bytes().len(), || sizes(entries))?;
        changes.times = rules.fresh(now);
        let head = Head {
            id: changes.id(rules)?,
            times: changes.times,
        };
        Ok((head, changes.owner.as_deref().map(str::to_owned)))
    }

    /// The times to judge it by, and the id whose end would be its own. `None` if it is over.
    pub(crate) fn standing(&self) -> Option<(Option<SessionId>, Times)> {
        let changes = self.lock();
        let id = match changes.phase {
            Phase::Sent { .. } => changes.id,
            _ => self.base_id(),
        };
        (!changes.logged_out() && !changes.lost).then_some((id, changes.times))
    }

    /// Whether the entries say whose session it is, so that without any it is nobody's.
    fn tells_owner(&self) -> bool {
        #[cfg(feature = "starlette")]
        return self
            .base()
            .is_some_and(|base| base.origin == Origin::Shared);
        #[cfg(not(feature = "starlette"))]
        false
    }

    /// What there was: as it came in, or as the store has it since by this request's own doing.
    pub(super) fn before<'a>(
        &'a self,
        changes: &'a Changes,
    ) -> Option<(Head, Option<&'a str>, Entries<'a>)> {
        #[cfg(feature = "store")]
        if let Some(kept) = &changes.kept {
            return Some((
                kept.head,
                kept.owner.as_deref(),
                Entries::trusted(&kept.entries),
            ));
        }
        #[cfg(not(feature = "store"))]
        let _ = changes;
        let record = &self.base.as_ref()?.record;
        Some((record.head, record.owner(), record.entries()))
    }

    pub(super) fn outcome(&self, changes: &Changes) -> Outcome {
        if changes.logged_out() {
            return Outcome::Remove { logged_out: true };
        }
        let owner = self.current_owner(changes);
        let entries = self.entries(changes);
        let vacant = entries.as_bytes().is_empty() && (owner.is_none() || self.tells_owner());
        let Some((head, owner_before, entries_before)) = self.before(changes) else {
            return match vacant {
                true => Outcome::Keep,
                false if changes.logged_in => Outcome::Write(Change::LoggedIn),
                false => Outcome::Write(Change::Created),
            };
        };
        let same_content =
            !changes.any_content() || (owner == owner_before && entries == entries_before);
        if vacant {
            return if same_content {
                Outcome::Keep
            } else {
                Outcome::Remove { logged_out: false }
            };
        }
        if changes.logged_in {
            return Outcome::Write(Change::LoggedIn);
        }
        if changes.id != Some(head.id) {
            return Outcome::Write(Change::Renewed);
        }
        match same_content && changes.times == head.times {
            true => Outcome::Keep,
            false => Outcome::Write(Change::Content),
        }
    }
}
