//! Sealing rows, and naming them and their owners.

use sha2::{Digest as _, Sha256};

use super::content::Content;
use crate::{
    event::Reason,
    id::Family,
    key::{Context, Key, KeyRing, Keys, Purpose},
    metrics::{Metric, Metrics},
    seal::{self, RANDOM_LEN, Sealed},
    store::{OwnerTag, StoreKey},
};

const LABEL: &[u8] = b"tower-sealed-session/v1 store";

/// The keys of a layer for its rows.
pub(crate) struct Vault {
    rows: Keys,
    owners: Keys,
    /// `LABEL ‖ LP(name) ‖ LP(audience)`
    names: Sha256,
    layer: OwnerTag,
}

/// Where imported entries are found: at a login of their owner, or by an id of the old system.
#[derive(Clone, Copy)]
pub(crate) enum Under<'a> {
    Owner(&'a str),
    OldId(&'a [u8]),
}

/// Why a row does not open. `Forged`: it was changed, or sealed for another store key.
pub(crate) struct Unreadable(pub(super) Reason);

impl Vault {
    pub(crate) fn derive(ring: &KeyRing, cookie_name: &str, audience: &str) -> Self {
        let context = |purpose| Context {
            purpose,
            cookie_name,
            audience,
        };
        let mut names = Sha256::new_with_prefix(LABEL);
        for part in [cookie_name, audience] {
            let len = u16::try_from(part.len()).expect("the builder bounds names and audiences");
            names.update(len.to_be_bytes());
            names.update(part);
        }
        let layer = names.clone().chain_update(b"layer").finalize();
        Self {
            layer: OwnerTag::new(*layer.first_chunk().expect("a hash is longer than a tag")),
            rows: ring.derive_all(&[context(Purpose::STORE)]),
            owners: ring.derive_all(&[context(Purpose::OWNER)]),
            names,
        }
    }

    /// The key of a family's row.
    pub(crate) fn key(&self, family: Family) -> StoreKey {
        let names = self.names.clone();
        let names = names.chain_update(&family.created.to_be_bytes()[2..]);
        let hash = names.chain_update(family.random).finalize();
        StoreKey::new(*hash.first_chunk().expect("a hash is longer than a key"))
    }

    /// The keys of the row with what was imported, with each secret. The current one comes first.
    pub(crate) fn imported_keys(&self, under: Under<'_>) -> impl Iterator<Item = StoreKey> {
        self.owners.iter().map(move |key| {
            let (label, tag) = match under {
                Under::Owner(owner) => (&b"imported"[..], tag(key, [owner.as_bytes()])),
                // no owner has that byte, since owners are UTF-8
                Under::OldId(id) => (&b"old id"[..], tag(key, [&b"\xff"[..], id])),
            };
            let names = self.names.clone().chain_update(label);
            let hash = names.chain_update(tag.as_bytes()).finalize();
            StoreKey::new(*hash.first_chunk().expect("a hash is longer than a key"))
        })
    }

    pub(crate) fn tag(&self, owner: &str) -> OwnerTag {
        tag(self.owners.current(), [owner.as_bytes()])
    }

    /// The owner's tag with each secret, since rows keep the tag that they were written with.
    pub(crate) fn tags(&self, owner: &str) -> impl Iterator<Item = OwnerTag> {
        self.owners
            .iter()
            .map(move |key| tag(key, [owner.as_bytes()]))
    }

    /// A tag that names all sessions of the layer. It is that of no owner, and does not depend on
    /// the secrets.
    pub(crate) fn layer_tag(&self) -> OwnerTag {
        self.layer
    }

    /// Whether that is the tag of a row with that owner, with any of the secrets.
    pub(super) fn is_tag_of(&self, tag: Option<OwnerTag>, owner: Option<&str>) -> bool {
        match (tag, owner) {
            (Some(tag), Some(owner)) => self.tags(owner).any(|known| known == tag),
            (tag, owner) => tag.is_none() && owner.is_none(),
        }
    }

    /// Seals `buffer`, a row after [`seal::HEADROOM`] bytes, for that key.
    pub(crate) fn seal(&self, key: StoreKey, random: &[u8; RANDOM_LEN], buffer: Vec<u8>) -> Sealed {
        seal::seal(self.rows.current(), key.as_bytes(), random, buffer)
    }

    pub(crate) fn open(
        &self,
        key: StoreKey,
        bytes: Vec<u8>,
        metrics: &Metrics,
    ) -> Result<Content, Unreadable> {
        let opened = seal::open_bytes(&self.rows, key.as_bytes(), bytes)
            .map_err(|unsealed| Unreadable(unsealed.into()))?;
        metrics.count(Metric::KeyUses, &[opened.age.name(), "row"], 1);
        let plaintext = opened.plaintext();
        Content::parse(opened.bytes, plaintext).map_err(|_| Unreadable(Reason::Malformed))
    }
}

fn tag<const PARTS: usize>(key: &Key, parts: [&[u8]; PARTS]) -> OwnerTag {
    let hash = key.mac.hash(parts);
    OwnerTag::new(*hash.first_chunk().expect("a hash is longer than a tag"))
}
