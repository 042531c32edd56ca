//! Sessions in a store: sealing and naming rows, and loading and saving sessions.
//!
//! A session has one row under its family, from its login to its end, or is in its cookie. A ticket
//! is good if its family's row is live and has the ticket's serial. A row is replaced only at the
//! version that this request saw. If another request came first, the changes are replayed on what it
//! saved. `renew` replaces the serial in the row. `login` creates the row of a new family, then the
//! old row becomes a tombstone. No code here creates a session from a row that has ended.
//!
//! ARCHITECTURE.md has a table of all states of a row and what each request does with it.

mod adopt;
mod claims;
mod commit;
mod content;
mod end;
mod errors;
mod find;
mod found;
mod imported;
mod imports;
mod load;
mod login;
mod moves;
mod needs;
mod old_ids;
#[cfg(feature = "store")]
mod owners;
mod relocate;
mod rows;
mod save;
mod storage;
mod touch;
mod vault;

pub(crate) use self::{
    commit::Saved,
    found::Kind,
    imported::Source,
    imports::{FoundImport, NewImport},
    old_ids::MAX_OLD_ID,
    relocate::Relocated,
    rows::Rows,
    storage::{Mode, Storage},
    vault::Vault,
};
#[cfg(test)]
pub(crate) use self::{content::Content, vault::Under};
