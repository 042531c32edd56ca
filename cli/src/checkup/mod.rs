//! The checks of `doctor`.

mod checks;
mod clock;
mod repository;
mod revoked;
mod rows;

pub(crate) use self::{
    checks::Checks, clock::compare_clocks, repository::committed_secrets, revoked::revoked_rows,
    rows::probe,
};
