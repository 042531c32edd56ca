//! The commands, one file each: its arguments, and what it does.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod keyset;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod relocate;
pub(crate) mod revoke;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod sessions;
pub(crate) mod stats;
