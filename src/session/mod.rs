//! The session that handlers use. This module does no I/O: [`Outcome`] says what the response has
//! to do, and [`RequestContext`] is the request that a session belongs to.

mod access;
mod changes;
mod claim;
mod draft;
mod edit;
mod fields;
mod handle;
#[cfg(feature = "store")]
mod heads;
#[cfg(feature = "store")]
mod imported;
mod incoming;
mod journal;
mod json;
mod life;
mod limits;
mod outcome;
mod progress;
mod rules;
mod saved;
mod state;
mod view;

pub(crate) use self::{
    access::check_key,
    claim::Claim,
    draft::Draft,
    handle::{Answer, RequestContext},
    incoming::{Arrival, Fate, Incoming, Origin, Place, RowRef, Stale},
    limits::{Limits, Measure, check_row},
    outcome::{Change, Outcome},
    progress::{Left, Previous},
    rules::Rules,
    state::State,
};
pub use self::{handle::Session, view::SessionView};
