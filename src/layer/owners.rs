//! The sessions of one owner, in the store.

use std::fmt;

use time::OffsetDateTime;

use super::session_layer::SessionLayer;
use crate::{
    clock::moment,
    error::{Error, ErrorKind},
    id::Family,
    request::Slot,
    session::{Session, SessionView},
    store::StoreKey,
    stored::Rows,
};

/// The maximum number of sessions that are listed.
const MOST: usize = 1000;

/// # Owners
///
/// These methods need a store, and see the sessions in it. With
/// [`overflow`](SessionLayer::overflow) and [`read_from`](SessionLayer::read_from), they do not see
/// those in cookies. With `read_from` and `store` together, they see both stores.
impl SessionLayer {
    /// The sessions of an owner, for a page "your devices". Those that were used last come first.
    ///
    /// At most 1000 are listed. Sessions that have expired are not among them. The request that asks
    /// does not count as a use before it ends.
    ///
    /// ```
    /// use tower_sealed_session::{Error, Session, SessionLayer};
    ///
    /// async fn devices(sessions: &SessionLayer, session: &Session) -> Result<String, Error> {
    ///     let mut page = String::new();
    ///     let owner = session.owner().unwrap_or_default();
    ///     for device in sessions.list_owner(&owner).await? {
    ///         // an entry that the app writes at each login
    ///         let name: Option<String> = device.view().get("device")?;
    ///         let name = name.as_deref().unwrap_or("unknown");
    ///         let here = if device.is(session) { ", this one" } else { "" };
    ///         page += &format!("{name}, last used at {}{here}\n", device.last_used_at());
    ///     }
    ///     Ok(page)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if there is no store, or it cannot be reached.
    /// [`ErrorKind::Clock`] if the clock shows a time before 1970.
    pub async fn list_owner(&self, owner: &str) -> Result<Vec<OwnedSession>, Error> {
        let config = self.config();
        let now = config.clock.now().ok_or(ErrorKind::Clock)?;
        let mut listed = self.rows()?.list_owner(owner, now).await?;
        listed.sort_by_key(|(_, incoming)| incoming.record.head.times.issued_at());
        let owned = listed.into_iter().rev().take(MOST).map(|(key, incoming)| {
            let head = incoming.record.head;
            OwnedSession {
                key,
                family: head.family(),
                last_used: moment(head.times.issued_at()),
                view: Slot::view_of(config.clone(), now, incoming),
            }
        });
        Ok(owned.collect())
    }

    /// Ends one of an owner's sessions, on every instance. `name` is its [`OwnedSession::name`],
    /// which may come from a form. Returns `false` if the owner has no such session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if there is no store, or it cannot be reached. The session may
    /// still be valid then.
    pub async fn delete_session(&self, owner: &str, name: &str) -> Result<bool, Error> {
        let rows = self.rows()?;
        let digits = name.len() == 32 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u128::from_str_radix(name, 16) {
            Ok(number) if digits => {
                let key = StoreKey::new(number.to_be_bytes());
                let now = self.config().clock.now().ok_or(ErrorKind::Clock)?;
                rows.delete_owned(owner, key, now).await
            }
            _ => Ok(false),
        }
    }

    /// Ends all sessions of an owner that are in the store, on every instance, and returns how many
    /// sessions were ended. Use it after a change of password or the loss of a device.
    ///
    /// It ends the sessions that exist when it runs. A login after it begins a new session.
    ///
    /// Sessions that are still in their cookies are not ended, nor are those that have not yet
    /// moved into the store.
    ///
    /// ```
    /// # use tower_sealed_session::{Error, SessionLayer};
    /// async fn password_changed(sessions: &SessionLayer, user: &str) -> Result<(), Error> {
    ///     let ended = sessions.delete_owner(user).await?;
    ///     println!("{ended} sessions ended");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if there is no store, or it cannot
    /// be reached. Some sessions may still be valid then.
    pub async fn delete_owner(&self, owner: &str) -> Result<u64, Error> {
        self.rows()?.delete_owner(owner, &[]).await
    }

    /// Ends all sessions of an owner as [`delete_owner`](Self::delete_owner) does, except that of a
    /// request: both the one that it brought and the one that it began by a `login`.
    ///
    /// After a change of password, also [`renew`](Session::renew) the session that stays: a thief
    /// may have its cookie.
    ///
    /// ```
    /// # use tower_sealed_session::{Error, Session, SessionLayer};
    /// async fn log_out_elsewhere(sessions: &SessionLayer, session: &Session) -> Result<(), Error> {
    ///     let owner = session.owner().unwrap_or_default();
    ///     sessions.delete_owner_except(&owner, session).await?;
    ///     session.renew();
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`delete_owner`](Self::delete_owner).
    pub async fn delete_owner_except(&self, owner: &str, session: &Session) -> Result<u64, Error> {
        let heads = session.heads()?;
        self.rows()?.delete_owner(owner, &heads).await
    }

    fn rows(&self) -> Result<Rows<'_>, Error> {
        self.config().rows().ok_or_else(Error::no_store)
    }
}

/// One of an owner's sessions in the store; see [`SessionLayer::list_owner`].
#[derive(Clone)]
pub struct OwnedSession {
    key: StoreKey,
    family: Family,
    last_used: OffsetDateTime,
    view: SessionView,
}

impl OwnedSession {
    /// The session: its entries, when it began, and when it expires.
    #[must_use]
    pub fn view(&self) -> &SessionView {
        &self.view
    }

    /// A name for a form: 32 hex digits. It gives no access. [`SessionLayer::delete_session`] takes
    /// it. It stays the same for the life of the session, unless the session moves to another store.
    /// Even then, the old name ends the session.
    #[must_use]
    pub fn name(&self) -> String {
        let digits = self.key.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// When the session was used last, to about a tenth of the idle time.
    #[must_use]
    pub fn last_used_at(&self) -> OffsetDateTime {
        self.last_used
    }

    /// Whether a request's session is this one.
    #[must_use]
    pub fn is(&self, session: &Session) -> bool {
        let heads = session.heads();
        heads.is_ok_and(|heads| heads.iter().any(|head| head.family() == self.family))
    }
}

impl fmt::Debug for OwnedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSession")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
