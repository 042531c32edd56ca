//! The session of one request: opened when a handler asks for it, committed with the response.
//!
//! [`Slot::open`] finds the cookie, opens and checks it, and loads the session from the store if it
//! is there. [`Slot::commit`] decides what to do, saves to the store if needed, and writes the
//! headers of the response. If an earlier commit of the same request is still running, it waits for
//! that commit and decides again.

mod admit;
mod check;
mod codec;
mod commit;
mod companion;
mod config;
mod context;
mod finish;
mod login_page;
mod names;
mod nesting;
mod old_ids;
mod open;
mod opened;
mod respond;
mod revoke;
mod revoking;
mod slot;
mod strangers;
mod visit;

pub(crate) use self::{
    check::Check,
    codec::{Codec, Opened, Value},
    config::Config,
    finish::Committed,
    login_page::LoginPage,
    old_ids::OldIds,
    respond::Reply,
    revoking::Revoking,
    slot::Slot,
};
