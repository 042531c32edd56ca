//! The cookie of an old system, which names an imported session.

use crate::{
    clock::Millis,
    cookie::Template,
    event::{Event, Reason},
    stored::MAX_OLD_ID,
};

/// The cookie of an old system whose ids were imported.
#[derive(Clone)]
pub(crate) struct OldIds {
    pub(crate) template: Template,
    /// From then on, the cookie is ignored.
    pub(crate) until: Millis,
}

impl OldIds {
    pub(super) fn name(&self) -> &str {
        self.template.name()
    }

    /// The id among the values of the cookie. Several different ones are none.
    pub(super) fn find<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]>,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Option<&'a [u8]> {
        let mut ids = values.filter(|id| (1..=MAX_OLD_ID).contains(&id.len()));
        let id = ids.next().filter(|_| now < self.until)?;
        if ids.any(|other| other != id) {
            events.push(Event::Rejected(Reason::Ambiguous));
            return None;
        }
        Some(id)
    }
}
