//! The names in the log of revocations: SipHash-2-4 of what they name.
//!
//! The key of owners' names is secret, so that nobody who reads the log can try owners. While a
//! secret is replaced, an owner has one name for each secret. The key of the other names is that of
//! the layer. It is public, but a session cannot be told from a hash that is shorter than its id.
//! All instances need the same names, whatever secrets they have.

#![expect(
    deprecated,
    reason = "the hasher of std that replaced this one takes no key"
)]

use std::hash::{Hasher as _, SipHasher};

use crate::{
    id::{Family, Serial},
    store::{
        OwnerTag,
        log::{Name, SHARD},
    },
    stored::Vault,
};

#[derive(Clone)]
pub(super) struct Names {
    layer: SipHasher,
    /// One for each secret.
    owners: Vec<SipHasher>,
}

impl Names {
    pub(super) fn new(vault: &Vault) -> Self {
        // no owner is empty, so this tag is used for nothing else
        let owners = vault.tags("").map(keyed);
        Self {
            layer: keyed(vault.layer_tag()),
            owners: owners.collect(),
        }
    }

    /// The name of a session, and that of one of its ids.
    #[inline]
    pub(super) fn session(&self, family: Family, serial: Serial) -> (Name, Name) {
        let session = name(
            &self.layer,
            &[&family.created.to_be_bytes(), &family.random],
        );
        // in the same shard of the set, and as random as the serial
        let id = (session ^ u64::from_be_bytes(serial.0)) & !SHARD | session & SHARD;
        (session, id)
    }

    /// The names of an owner.
    pub(super) fn owner(&self, owner: &str) -> impl Iterator<Item = Name> {
        let owners = self.owners.iter();
        owners.map(move |key| name(key, &[owner.as_bytes()]))
    }

    /// The name of the layer.
    pub(super) fn layer(&self) -> Name {
        name(&self.layer, &[])
    }
}

fn keyed(tag: OwnerTag) -> SipHasher {
    let [first, last] = [&tag.as_bytes()[..8], &tag.as_bytes()[8..]]
        .map(|half| u64::from_le_bytes(half.try_into().expect("half of 16 bytes")));
    SipHasher::new_with_keys(first, last)
}

fn name(key: &SipHasher, parts: &[&[u8]]) -> Name {
    let mut hasher = key.clone();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}
