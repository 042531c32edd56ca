//! Sealing rows, and naming them and their owners.

use sha2::{Digest as _, Sha256};

use crate::{
    event::Reason,
    key::{Context, Key, KeyRing, Keys, Purpose},
    record::{self, Head, Record, SessionId},
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
}

/// The content of a row.
pub(crate) enum Content {
    Live(Record),
    /// A session that was in a cookie has moved to this head.
    Moved(Head),
    /// A tombstone: the session ended. This head continues it; it is its own head if none does.
    Ended(Head),
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
        Self {
            rows: ring.derive_all(&[Purpose::STORE, Purpose::MOVED].map(context)),
            owners: ring.derive_all(&[context(Purpose::OWNER)]),
            names,
        }
    }

    pub(crate) fn key(&self, id: SessionId) -> StoreKey {
        let hash = self.names.clone().chain_update(id.as_bytes()).finalize();
        StoreKey::new(*hash.first_chunk().expect("a hash is longer than a key"))
    }

    pub(crate) fn tag(&self, owner: &str) -> OwnerTag {
        tag(self.owners.current(), owner)
    }

    /// The owner's tag with each secret, since rows keep the tag that they were written with.
    pub(crate) fn tags(&self, owner: &str) -> impl Iterator<Item = OwnerTag> {
        self.owners.iter().map(move |key| tag(key, owner))
    }

    /// Seals `buffer`, a record after [`seal::HEADROOM`] bytes, for the row under that key.
    pub(super) fn seal(&self, key: StoreKey, random: &[u8; RANDOM_LEN], buffer: Vec<u8>) -> Sealed {
        seal::seal(self.rows.current(), key.as_bytes(), random, buffer)
    }

    /// A row that names another head: a tombstone, or a pointer if the session `moved` from its
    /// cookie.
    pub(super) fn pointer(
        &self,
        key: StoreKey,
        head: Head,
        moved: bool,
        random: &[u8; RANDOM_LEN],
    ) -> Sealed {
        let purpose = if moved {
            Purpose::MOVED
        } else {
            Purpose::STORE
        };
        let sealing = self.rows.newest(purpose).expect("both are derived");
        let buffer = record::encode_ticket(head, seal::HEADROOM, seal::TAG_LEN);
        seal::seal(sealing, key.as_bytes(), random, buffer)
    }

    pub(crate) fn open(&self, key: StoreKey, bytes: Vec<u8>) -> Result<Content, Unreadable> {
        let opened = seal::open_bytes(&self.rows, key.as_bytes(), bytes)
            .map_err(|unsealed| Unreadable(unsealed.into()))?;
        let plaintext = opened.plaintext();
        let record =
            Record::parse(opened.bytes, plaintext).map_err(|_| Unreadable(Reason::Malformed))?;
        match (record.stored, opened.purpose) {
            (false, Purpose::STORE) => Ok(Content::Live(record)),
            (true, Purpose::STORE) => Ok(Content::Ended(record.head)),
            (true, _) => Ok(Content::Moved(record.head)),
            (false, _) => Err(Unreadable(Reason::Malformed)),
        }
    }
}

fn tag(key: &Key, owner: &str) -> OwnerTag {
    let hash = key.mac.hash([owner.as_bytes()]);
    OwnerTag::new(*hash.first_chunk().expect("a hash is longer than a tag"))
}
