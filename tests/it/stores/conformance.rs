//! The public suite on our own stores, and that it finds what a store does wrong.

use std::time::Duration;

use tower_sealed_session::{
    OffsetDateTime,
    store::{
        Creation, MemoryStore, Operate, OwnerTag, Saving, Statistics, Store, StoreError, StoreKey,
        Stored, Version, conformance,
    },
};

use super::backend::{Backend, on_every_store};

on_every_store! {
    keeps_its_promises;
}

async fn keeps_its_promises(backend: Backend) {
    conformance::check(async || backend.open().await).await;
    conformance::check_operate(async || backend.open().await).await;
}

/// What stores do that are in use.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CreateReplaces,
    SaveInserts,
    SaveIgnoresTheVersion,
    VersionsStandStill,
    TouchRewrites,
    TouchInserts,
    TouchIgnoresTheVersion,
    DeleteSaysAlways,
    OwnersAreForgotten,
    OwnersAreKept,
    SecondsAlone,
    BytesAreText,
    EachInstanceIsAnIsland,
    PruneTakesAll,
}

#[derive(Clone)]
struct Faulty(MemoryStore, Fault);

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.1 == fault
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match self.has(Fault::BytesAreText) {
            true => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            false => bytes.to_vec(),
        }
    }

    fn end(&self, expires: OffsetDateTime) -> OffsetDateTime {
        match self.has(Fault::SecondsAlone) {
            true => expires.replace_millisecond(0).expect("in range"),
            false => expires,
        }
    }

    fn owner(&self, owner: Option<OwnerTag>) -> Option<OwnerTag> {
        owner.filter(|_| !self.has(Fault::OwnersAreForgotten))
    }
}

impl Store for Faulty {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.0.load(key).await
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        if self.has(Fault::CreateReplaces) {
            self.0.delete(key).await?;
        }
        let (bytes, expires) = (self.bytes(bytes), self.end(expires));
        self.0.create(key, &bytes, expires, self.owner(owner)).await
    }

    async fn save(
        &self,
        key: StoreKey,
        mut expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let there = self.0.load(key).await?;
        if self.has(Fault::SaveInserts) && there.is_none() {
            self.0.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected.next()));
        }
        if let (true, Some(there)) = (self.has(Fault::SaveIgnoresTheVersion), &there) {
            expected = there.version;
        }
        if let (true, Some(there)) = (self.has(Fault::VersionsStandStill), &there)
            && there.version == expected
        {
            self.0.delete(key).await?;
            self.0.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected));
        }
        let owner = match self.has(Fault::OwnersAreKept) {
            true => Some(OwnerTag::new([1; 16])),
            false => self.owner(owner),
        };
        let (bytes, expires) = (self.bytes(bytes), self.end(expires));
        self.0.save(key, expected, &bytes, expires, owner).await
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        match self.0.load(key).await? {
            None if self.has(Fault::TouchInserts) => {
                self.0.create(key, b"", expires, None).await?;
                Ok(true)
            }
            Some(there) if self.has(Fault::TouchRewrites) => {
                self.0
                    .save(key, there.version, &there.bytes, expires, None)
                    .await?;
                Ok(true)
            }
            Some(there) if self.has(Fault::TouchIgnoresTheVersion) => {
                self.0.touch(key, there.version, expires).await
            }
            _ => self.0.touch(key, expected, self.end(expires)).await,
        }
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        Ok(self.0.delete(key).await? || self.has(Fault::DeleteSaysAlways))
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        self.0.delete_owner(owner).await
    }
}

impl Operate for Faulty {
    async fn prune(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let year = Duration::from_secs(if self.has(Fault::PruneTakesAll) {
            9_999_999
        } else {
            0
        });
        self.0.prune(now + year).await
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.0.statistics(now).await
    }
}

/// Each fault makes the suite say what is promised.
#[test]
fn the_suite_finds_each_fault() {
    for (fault, promise) in [
        (Fault::CreateReplaces, "`create` never replaces"),
        (Fault::SaveInserts, "`save` never inserts"),
        (
            Fault::SaveIgnoresTheVersion,
            "`save` replaces the version that it is given and no other",
        ),
        (
            Fault::VersionsStandStill,
            "each `save` gives a greater version",
        ),
        (
            Fault::TouchRewrites,
            "`touch` leaves version and bytes as they are",
        ),
        (Fault::TouchInserts, "`touch` never inserts"),
        (
            Fault::TouchIgnoresTheVersion,
            "`touch` of a version that was replaced",
        ),
        (Fault::DeleteSaysAlways, "`delete` says that there was none"),
        (
            Fault::OwnersAreForgotten,
            "`delete_owner` counts the sessions of that owner",
        ),
        (
            Fault::OwnersAreKept,
            "`delete_owner` counts the sessions of that owner",
        ),
        (Fault::SecondsAlone, "to the byte and to the millisecond"),
        (Fault::BytesAreText, "to the byte and to the millisecond"),
        (Fault::EachInstanceIsAnIsland, "on every instance"),
        (
            Fault::PruneTakesAll,
            "`prune` forgets sessions that have ended, and no other",
        ),
    ] {
        let shared = Faulty(MemoryStore::new(), fault);
        let held = std::thread::spawn(move || {
            let suite = async {
                let open = async || match fault {
                    Fault::EachInstanceIsAnIsland => Faulty(MemoryStore::new(), fault),
                    _ => shared.clone(),
                };
                match fault {
                    Fault::PruneTakesAll => conformance::check_operate(open).await,
                    _ => conformance::check(open).await,
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            runtime.expect("a runtime").block_on(suite);
        });
        let panic = held.join().expect_err("it is found");
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.expect("a text");
        assert!(text.contains(promise), "{fault:?}: {text}");
    }
}
