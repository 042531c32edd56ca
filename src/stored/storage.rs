use std::sync::Arc;

use super::{rows::Rows, vault::Vault};
use crate::{session::Rules, store::Backend};

/// The store of a layer.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) backend: Backend,
    pub(crate) mode: Mode,
    pub(crate) vault: Arc<Vault>,
}

/// Which sessions are in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All.
    Store,
    /// Those that do not fit a cookie.
    Overflow,
    /// Those that are there already, until they change.
    ReadFrom,
}

impl Storage {
    pub(crate) fn rows<'a>(&'a self, rules: &'a Rules) -> Rows<'a> {
        Rows {
            storage: self,
            rules,
        }
    }
}
