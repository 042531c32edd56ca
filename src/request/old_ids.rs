//! The cookie of the old system, which names an imported session.

use http::HeaderValue;

use super::{commit::Commit, slot::Slot};
use crate::{
    clock::Millis,
    cookie::Template,
    event::{Event, Reason},
    stored::MAX_OLD_ID,
};

/// The cookie of the old system whose ids were imported.
#[derive(Clone)]
pub(crate) struct OldIds {
    pub(crate) template: Template,
    /// From then on, the cookie is ignored.
    pub(crate) until: Millis,
}

impl Slot {
    /// The old id that the request came with, if it is to be looked up: there is no cookie of ours,
    /// and there will be a response, which can set it. Several different old ids are none.
    pub(super) fn old_id(&self, now: Millis, events: &mut Vec<Event<'static>>) -> Option<&[u8]> {
        let old = self.config.old_ids.as_ref().filter(|old| now < old.until)?;
        let ours = self.cookies.values(self.config.codec.name()).next();
        if ours.is_some() || self.is_done() {
            return None;
        }
        let fits = |id: &&[u8]| (1..=MAX_OLD_ID).contains(&id.len());
        let mut ids = self.cookies.values(old.template.name()).filter(fits);
        let id = ids.next()?;
        if ids.any(|other| other != id) {
            events.push(Event::Rejected(Reason::Ambiguous));
            return None;
        }
        Some(id)
    }
}

impl Commit<'_> {
    /// The header that removes the cookie of the old system, if the request has it.
    pub(super) fn old_id_removal(&self) -> Option<HeaderValue> {
        let old = self.config.old_ids.as_ref()?;
        let mut sent = self.cookies.values(old.template.name());
        let used = self.state.opened()? < old.until;
        (used && sent.next().is_some()).then(|| old.template.remove())
    }
}
