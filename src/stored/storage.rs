use std::sync::Arc;

use super::vault::Vault;
use crate::store::Backend;

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
    /// Those that are there already, until they get another id and fit a cookie.
    ReadFrom,
}
