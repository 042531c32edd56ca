use std::sync::Arc;

use super::vault::Vault;
use crate::{session::Place, store::Backend};

/// The store of a layer, and the one that its sessions move out of.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) backend: Backend,
    /// Sessions found there move to `backend`. Only with [`Mode::Store`].
    pub(crate) old: Option<Backend>,
    pub(crate) mode: Mode,
    pub(crate) vault: Arc<Vault>,
}

impl Storage {
    /// The store that holds a row.
    pub(super) fn at(&self, place: Place) -> &Backend {
        match (place, &self.old) {
            (Place::Old, Some(old)) => old,
            _ => &self.backend,
        }
    }

    /// All stores, in the order in which a family is looked for.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, &Backend)> {
        let old = self.old.iter().map(|old| (Place::Old, old));
        [(Place::Store, &self.backend)].into_iter().chain(old)
    }

    /// All stores, in the order in which the sessions of an owner are looked for. A session may move
    /// meanwhile, in either direction. It is in the other store before it leaves its own, so it
    /// cannot be missed unless it moves twice.
    pub(super) fn sweep(&self) -> impl Iterator<Item = (Place, &Backend)> {
        let old = self.old.iter().map(|old| (Place::Old, old));
        let store = [(Place::Store, &self.backend)];
        old.clone().chain(store).chain(old)
    }
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
