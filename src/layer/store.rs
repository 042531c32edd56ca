//! Sessions in a store instead of their cookies, or where they do not fit those.

use std::{sync::Arc, time::Duration};

use super::SessionLayer;
#[cfg(feature = "starlette")]
use crate::{compat::Mode as Old, slot::Form};
use crate::{
    error::{Error, ErrorKind},
    slot::{Mode, Storage},
    store::{Keeper, Store},
};

/// # With a store
///
/// With the feature `store` and that of a store: `memory`, `redis`, `sqlite`. Handlers stay as they are, and sessions too: each mode
/// reads the cookies of the others, so that an app goes from one to the other and back instance by instance; see
/// [`guide::stores`](crate::guide::stores).
impl SessionLayer {
    /// Keeps sessions in a store: up to 64 KiB each, parallel writes of different entries all kept, and a logout that is final. The
    /// cookie is a sealed ticket, which names the session and holds nothing of it.
    ///
    /// A session that comes in a cookie that holds it moves to the store.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
    ///
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).store(MemoryStore::new());
    /// # }
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the layer was built with `dual_write`: what the other system writes is in its cookie, and cannot be in a store.
    #[must_use]
    #[track_caller]
    pub fn store(self, store: impl Store) -> Self {
        self.with(store, Mode::Store)
    }

    /// Keeps a session in its cookie while it fits, and else in a store.
    ///
    /// It comes back when it takes half a cookie's room. It has what a cookie can promise, also while it is in the store:
    /// whoever has a copy of an older cookie that held the session can go on with that.
    ///
    /// # Panics
    ///
    /// As [`store`](Self::store).
    #[must_use]
    #[track_caller]
    pub fn overflow(self, store: impl Store) -> Self {
        self.with(store, Mode::Overflow)
    }

    /// Reads the sessions that a store has, and writes them back into cookies: the first step towards
    /// [`store`](Self::store), and the way back.
    ///
    /// # Panics
    ///
    /// As [`store`](Self::store).
    #[must_use]
    #[track_caller]
    pub fn read_from(self, store: impl Store) -> Self {
        self.with(store, Mode::ReadFrom)
    }

    /// How long a call to the store may take. Default: 250 ms.
    ///
    /// After that the request is answered with `503 Service Unavailable`. One whose changes meet those of others tries again for eight
    /// times as long at most, while the store answers.
    ///
    /// # Panics
    ///
    /// If there is no store yet.
    #[must_use]
    #[track_caller]
    pub fn store_timeout(self, timeout: Duration) -> Self {
        let Some((_, storage)) = self.settings.storage() else {
            panic!("`store_timeout` comes after `store`, `overflow` or `read_from`");
        };
        let storage = Storage {
            keeper: storage.keeper.clone().with_timeout(timeout),
            mode: storage.mode,
        };
        self.over(storage)
    }

    /// Ends all sessions of an owner that are in the store, on every instance, and says how many there were: for a changed password,
    /// or a stolen device. It counts rows, so the successors of sessions that were just renewed may count as well.
    ///
    /// Sessions that are in their cookies are not reached.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// # use tower_sealed_session::{Error, SessionLayer};
    /// async fn password_changed(sessions: &SessionLayer, user: &str) -> Result<(), Error> {
    ///     let ended = sessions.delete_owner(user).await?;
    ///     println!("{ended} sessions ended");
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if there is no store, or it cannot be reached: then some may still be valid.
    pub async fn delete_owner(&self, owner: &str) -> Result<u64, Error> {
        let Some((vault, storage)) = self.settings.storage() else {
            return Err(ErrorKind::Unavailable.into());
        };
        // the old secrets' first, and again until none is left: a write moves a session to another secret's tag meanwhile
        let mut tags: Vec<_> = vault.tags(owner).collect();
        tags.reverse();
        let mut count = 0;
        loop {
            let before = count;
            for &tag in &tags {
                let deleted = storage.keeper.delete_owner(tag).await;
                count += deleted.map_err(Error::store)?;
            }
            if count == before || tags.len() == 1 {
                return Ok(count);
            }
        }
    }

    #[track_caller]
    fn with(self, store: impl Store, mode: Mode) -> Self {
        #[cfg(feature = "starlette")]
        if let Form::Sealed {
            companion: Some(companion),
            ..
        } = &self.settings.form
            && companion.mode == Old::Dual
        {
            panic!(
                "`dual_write` and a store exclude each other: what the old system writes is in its cookie; \
                 move to `migrate` first"
            );
        }
        self.over(Storage {
            keeper: Keeper::new(store),
            mode,
        })
    }

    fn over(&self, storage: Storage) -> Self {
        Self {
            settings: Arc::new(self.settings.with_storage(storage)),
        }
    }
}
