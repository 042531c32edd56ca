//! Sessions in a store: sealing and naming rows, and loading and saving sessions.
//!
//! A session has one row under its id, or is in its cookie. A row is replaced only at the version
//! that this request saw. If another request came first, the changes are replayed on what it saved.
//! A session that gets a new id (login, renewal, a move between cookie and store) is first saved
//! under the new id; then the old row becomes a tombstone that names the new one. No code here
//! creates a session from a row that has ended.

mod commit;
mod end;
mod load;
mod needs;
mod rows;
mod save;
mod storage;
mod touch;
mod vault;

#[cfg(test)]
pub(crate) use self::vault::Content;
pub(crate) use self::{
    commit::Saved,
    rows::Rows,
    storage::{Mode, Storage},
    vault::Vault,
};
