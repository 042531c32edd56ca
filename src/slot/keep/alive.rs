use super::Keeping;
use crate::{
    cookie::cache::Exposure,
    error::Error,
    record::Head,
    session::Before,
    slot::{Sent, rows::Found},
};

impl Keeping<'_> {
    /// Nothing changed: a row's end is moved if it is time, and a session that came in a cookie moves to the store.
    pub(super) async fn keep_alive(&self) -> Result<Sent, Error> {
        let settings = &self.slot.settings;
        let Some(Before { head, held }) = self.state.borne() else {
            return Ok(Sent::nothing());
        };
        if let Some(change) = self.state.owed() {
            return self.slot.ticket(self.state, head, self.now, change.into());
        }
        let Some(base) = self.state.base() else {
            return Ok(Sent::nothing());
        };
        let Some(held) = held else {
            return self.move_in(head).await;
        };
        if settings
            .rules
            .timeouts
            .touch_due(head.times, held.expires, self.now)
        {
            let mut times = head.times;
            times.issue(self.now);
            let end = settings.rules.timeouts.end(times);
            self.rows.touch(head.id, held, end).await;
        }
        // its cookie must not take the place of one that another request has set since
        match self.slot.wants_ticket(base, held) && !self.public {
            true => match self.rows.find(head.id).await {
                Ok(Some(Found::Live(..))) => {
                    self.slot
                        .ticket(self.state, head, self.now, Exposure::Cookie)
                }
                _ => Ok(Sent::nothing()),
            },
            false => Ok(Sent::nothing()),
        }
    }

    /// Moves a session that nothing changed from its cookie to the store. If that fails, the next request tries again.
    async fn move_in(&self, head: Head) -> Result<Sent, Error> {
        let rules = &self.slot.settings.rules;
        let mut draft = self.state.draft(rules, self.now)?;
        draft.head.id = rules.draw_id()?;
        let Ok(Some(version)) = self.rows.create(&draft).await else {
            return Ok(Sent::nothing());
        };
        match self.rows.leave(head, draft.head, true, self.now).await {
            Ok(true) => {
                let (head, held) = (draft.head, self.held(&draft, version, false));
                self.state.keep(draft, Some(held), None);
                self.slot
                    .ticket(self.state, head, self.now, Exposure::Cookie)
            }
            Ok(false) => {
                self.rows.forget(draft.head.id).await;
                Ok(Sent::nothing())
            }
            // maybe it was moved all the same
            Err(_) => Ok(Sent::nothing()),
        }
    }
}
