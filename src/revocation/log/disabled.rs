use crate::{
    clock,
    revocation::Set,
    store::{StoreError, log::Entry},
};

/// A log without the feature `store`. No value of this type exists.
#[derive(Clone)]
pub(crate) enum Revocations {}

impl Revocations {
    pub(crate) fn set(&self) -> &Set {
        match *self {}
    }

    pub(crate) fn refuses(&self) -> bool {
        match *self {}
    }

    pub(crate) fn use_clock(&self, _: &clock::Source) {
        match *self {}
    }

    pub(crate) async fn append(&self, _: &[Entry]) -> Result<u64, StoreError> {
        match *self {}
    }

    pub(crate) fn append_later(&self, _: Entry) {
        match *self {}
    }
}
