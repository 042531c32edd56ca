//! The events and metrics of a session that was opened.

use super::slot::Slot;
use crate::{
    error::Error,
    event::{Event, Reason},
    key::Age,
    metrics::{Metric, Timer},
    session::State,
};

/// The remaining life is measured of one session in so many.
const SESSIONS: u8 = 64;

impl Slot {
    /// Emits the events of a read that is used, and measures it. `age`: the key that opened the
    /// cookie.
    pub(super) fn tell_opened(
        &self,
        opened: &Result<State, Error>,
        timer: Option<Timer>,
        age: Option<Age>,
        events: &[Event<'static>],
    ) {
        let (config, metrics) = (&*self.config, &self.config.rules.metrics);
        if let Some(timer) = timer {
            metrics.time(Metric::OpenDuration, &[], timer);
        }
        metrics.count(Metric::Requests, &[result(opened, events)], 1);
        if let Some(age) = age {
            metrics.count(Metric::KeyUses, &[age.name(), "cookie"], 1);
        }
        if let Ok(state) = opened {
            self.sample_life(state);
        }
        if !events.is_empty() {
            events.iter().for_each(|event| event.emit(metrics));
            let (codec, clock) = (&config.codec, &config.clock);
            config.strangers.count(events, codec, clock, metrics);
        }
    }

    fn sample_life(&self, state: &State) {
        let rules = &self.config.rules;
        let Some((incoming, now)) = state.incoming().zip(state.opened()) else {
            return;
        };
        let head = incoming.record.head;
        if head.id.as_bytes()[15].is_multiple_of(SESSIONS) {
            let left = rules.timeouts.end(head.times).saturating_sub(now);
            let seconds = left as f64 / 1000.0;
            rules.metrics.record(Metric::RemainingLife, &[], seconds);
        }
    }
}

/// What a request got that asked for its session.
fn result(opened: &Result<State, Error>, events: &[Event<'static>]) -> &'static str {
    match opened {
        Err(_) => return "error",
        Ok(state) if state.incoming().is_some() => return "valid",
        Ok(_) => {}
    }
    let mut rejected = events.iter().filter_map(|event| match event {
        Event::Rejected(reason) | Event::LegacyRejected(reason) => Some(reason),
        _ => None,
    });
    match rejected.next_back() {
        None => "absent",
        Some(Reason::Expired) => "expired",
        Some(Reason::Gone | Reason::Ended | Reason::Replaced | Reason::Revoked) => "ended",
        Some(_) => "rejected",
    }
}
