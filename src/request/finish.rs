//! The end of a request: with its response, or without one.

use std::{pin::Pin, sync::Arc};

use http::Response;

use super::{commit::Commit, respond::Reply, slot::Slot};
use crate::{
    cookie::cache,
    error::Error,
    event::{DropReason, EndReason, Event},
    metrics::{Metric, Timer},
    revocation::Why,
    session::{Outcome, RequestContext as _, State},
    stored::Saved,
};

/// Whether the response is ready.
pub(crate) enum Committed {
    Now,
    /// After the store or the log was called; [`Slot::finish`] takes the reply.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Slot {
    /// Decides what the response has to do about the session, and does it. If a call to the
    /// store or the log is needed, the result is a future.
    pub(crate) fn commit<B: Default>(self: &Arc<Self>, response: &mut Response<B>) -> Committed {
        self.mark_done();
        let reply = match self.opened.get() {
            None => return Committed::Now,
            Some(Err(_)) => Reply::Unchanged,
            Some(Ok(state)) => {
                let outcome = state.settle();
                let public = || cache::is_public(response.headers());
                if let Err(error) = self.begin_unrevoked(state, outcome) {
                    self.commit_of(state).reply_failed(error)
                } else if self.has_to_revoke(state, outcome) {
                    let revoked = self.clone().revoke_and_save(outcome, public());
                    return Committed::Later(Box::pin(revoked));
                } else if self.has_to_save(state, outcome, public) {
                    return Committed::Later(Box::pin(self.clone().save(public())));
                } else if outcome == Outcome::NoChange {
                    self.commit_of(state).reply(outcome, public)
                } else {
                    let metrics = &self.config.rules.metrics;
                    let timer = metrics.sample_timer(Metric::CommitDuration);
                    let reply = self.commit_of(state).reply(outcome, public);
                    if let Some(timer) = timer {
                        self.note_commit(timer);
                    }
                    reply
                }
            }
        };
        self.finish(response, reply);
        Committed::Now
    }

    /// Writes the reply into the response.
    pub(crate) fn finish<B: Default>(&self, response: &mut Response<B>, reply: Reply) {
        if let Some(Ok(state)) = self.opened.get() {
            self.land(state);
        }
        reply.write(response, self.outer.is_some(), &self.config.rules.metrics);
    }

    /// Drops the changes of a request that ended without a response. Later changes have no effect.
    /// A logout reaches store and log all the same: the visitor has asked for it.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.mark_done();
        let Some(Ok(state)) = self.opened.get() else {
            return;
        };
        if state.settle() != Outcome::NoChange || state.logged_out() {
            state.lose();
            Event::Dropped(DropReason::Unanswered).emit(&self.config.rules.metrics);
        }
        if !state.logged_out() {
            return;
        }
        if let Some(incoming) = state.incoming() {
            let (rules, head) = (&self.config.rules, incoming.record.head);
            let before = rules.ended.end(head.family(), Why::LoggedOut);
            // of a session that the store knows, the store tells
            if before.is_none() && self.config.rows().is_none() {
                let (session, reason) = (head.id, EndReason::Logout);
                Event::Ended { session, reason }.emit(&rules.metrics);
            }
        }
        self.log_out_later(state);
        if let Some(rows) = self.config.rows()
            && !state.left().is_empty()
        {
            rows.spawn(self.clone().log_out());
        }
    }

    async fn log_out(self: Arc<Self>) {
        let (state, clock) = (self.state(), &self.config.clock);
        if let Some(rows) = self.config.rows()
            && rows.log_out(state, &self.lane, clock).await.is_err()
        {
            Event::LogoutIncomplete.emit(&self.config.rules.metrics);
        }
    }

    fn has_to_save(&self, state: &State, outcome: Outcome, public: impl Fn() -> bool) -> bool {
        let rows = self.config.rows();
        rows.is_some_and(|rows| rows.has_to_save(state, outcome, public()))
    }

    async fn revoke_and_save(self: Arc<Self>, outcome: Outcome, public: bool) -> Reply {
        let (timer, state) = (Timer::start(), self.state());
        let reply = match self.revoke(state, outcome).await {
            Err(error) => self.commit_of(state).reply_failed(error),
            Ok(()) if self.has_to_save(state, outcome, || public) => {
                Box::pin(self.save_session(public)).await
            }
            Ok(()) => self.commit_of(state).reply(outcome, || public),
        };
        self.note_commit(timer);
        reply
    }

    async fn save(self: Arc<Self>, public: bool) -> Reply {
        let timer = Timer::start();
        let reply = self.save_session(public).await;
        self.note_commit(timer);
        reply
    }

    async fn save_session(&self, public: bool) -> Reply {
        let (state, clock) = (self.state(), &self.config.clock);
        let commit = self.commit_of(state);
        let saved = match self.config.rows() {
            Some(rows) => rows.commit(state, &self.lane, clock, public).await,
            None => Err(Error::no_store()),
        };
        if let Ok((Saved::Ticket(..), _)) = saved
            && let Err(error) = Box::pin(self.revoke_moved(state)).await
        {
            return commit.reply_failed(error);
        }
        saved
            .and_then(|(saved, now)| commit.reply_saved(saved, now))
            .unwrap_or_else(|error| commit.reply_failed(error))
    }

    fn note_commit(&self, timer: Timer) {
        let metrics = &self.config.rules.metrics;
        metrics.time(Metric::CommitDuration, &[], timer);
    }

    fn commit_of<'a>(&'a self, state: &'a State) -> Commit<'a> {
        Commit {
            config: &self.config,
            cookies: &self.cookies,
            state,
        }
    }
}
