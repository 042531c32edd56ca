use std::sync::Arc;

use super::limits::Limits;
use crate::{
    clock::Millis, error::Error, expiry::Timeouts, id::SessionId, metrics::Metrics, random,
    record::Times, revocation::EndedSessions, seal,
};

/// The settings of a layer that hold for each of its sessions.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) random: random::Sources,
    /// The sessions that ended recently.
    pub(crate) ended: Arc<EndedSessions>,
    /// Whether a copy of a ticket ends its session, rather than only being an event.
    pub(crate) end_on_reuse: bool,
    /// Whether changes of entries are logged. With a store, they may have to be replayed on the
    /// state that another request saved.
    pub(crate) logs_changes: bool,
    pub(crate) metrics: Metrics,
}

impl Rules {
    /// The times of a session that begins now.
    pub(crate) fn new_times(&self, now: Millis) -> Times {
        let lifetime = u32::try_from(self.timeouts.absolute / 1000).unwrap_or(u32::MAX);
        Times {
            created: now,
            issued: 0,
            lifetime,
            remembered: false,
        }
    }

    pub(crate) fn draw_id(&self) -> Result<SessionId, Error> {
        let mut bytes = [0; SessionId::LEN];
        (self.random.ids)(&mut bytes)?;
        Ok(SessionId::new(bytes))
    }

    /// Draws the random bytes of a seal.
    pub(crate) fn draw_hedge(&self) -> Result<[u8; seal::RANDOM_LEN], Error> {
        let mut bytes = [0; seal::RANDOM_LEN];
        (self.random.hedge)(&mut bytes)?;
        Ok(bytes)
    }
}
