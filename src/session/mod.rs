//! What a handler holds. No I/O: what a change means for the response is [`Outcome`], and where the state
//! lives is behind [`Home`].

mod state;
mod whole;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    clock::moment,
    error::{Error, ErrorKind},
    record::SessionId,
};

pub(crate) use self::state::{Base, Change, Outcome, Rules, State};

/// Where a session lives.
pub(crate) trait Home: Send + Sync {
    fn rules(&self) -> &Rules;
    fn state(&self) -> &State;
    fn commit(&self) -> Result<(), Error>;
    fn still_valid(&self) -> Result<bool, Error>;
}

/// The session of the request's visitor: always there, possibly empty.
///
/// Under axum it is an extractor; in plain Tower, [`Session::from_extensions`] gets it. It is a handle:
/// clones are of one session, and all methods take `&self`. What changed is sent when the response's
/// head is: nothing has to be saved, and nothing is sent when nothing changed.
///
/// A session is a set of entries, each any serde type under a key, and an optional owner. Both travel
/// sealed in the visitor's cookie, which holds about 3000 bytes of JSON.
///
/// ```
/// use tower_sealed_session::{Error, Session};
///
/// async fn count(session: Session) -> Result<String, Error> {
///     let n: u64 = session.get("n")?.unwrap_or(0) + 1;
///     session.insert("n", n)?;
///     Ok(format!("visit {n}"))
/// }
/// ```
///
/// # When it is too late
///
/// Once the response's head is sent the session is, too: [`insert`](Self::insert), [`update`](Self::update),
/// [`write`](Self::write) and [`login`](Self::login) then fail with [`ErrorKind::Late`], the others change
/// nothing; each is an event. The same holds after [`logout`](Self::logout), except that only `login` fails.
#[derive(Clone)]
pub struct Session {
    home: Arc<dyn Home>,
}

impl Session {
    pub(crate) fn at(home: Arc<dyn Home>) -> Self {
        Self { home }
    }

    pub(crate) fn state(&self) -> &State {
        self.home.state()
    }

    fn rules(&self) -> &Rules {
        self.home.rules()
    }
}

/// # Entries
impl Session {
    /// The value of an entry, if there is one.
    ///
    /// Only this entry is deserialized.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// session.insert("theme", "dark")?;
    /// assert_eq!(session.get::<String>("theme")?.as_deref(), Some("dark"));
    /// assert_eq!(session.get::<String>("font")?, None);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`] if the entry holds something else.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.state()
            .value(key)
            .map(|json| from_json(key, &json))
            .transpose()
    }

    /// Sets an entry. An equal value is no change: no cookie is sent for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`], [`ErrorKind::Encoding`], [`ErrorKind::InvalidKey`] and [`ErrorKind::Late`];
    /// the session then stays as it was.
    pub fn insert(&self, key: &str, value: impl Serialize) -> Result<(), Error> {
        check_key(key)?;
        let json = to_json(key, &value)?;
        self.state().set(self.rules(), "insert", key, Some(&json))
    }

    /// Removes an entry, and says whether there was one.
    #[doc(alias = "delete")]
    pub fn remove(&self, key: &str) -> bool {
        self.contains_key(key) && self.state().set(self.rules(), "remove", key, None).is_ok()
    }

    /// Reads an entry and removes it: for what is shown once, such as a notice.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// session.insert("notice", "saved")?;
    /// assert_eq!(session.take::<String>("notice")?.as_deref(), Some("saved"));
    /// assert_eq!(session.take::<String>("notice")?, None);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`] if the entry holds something else; it then stays.
    #[doc(alias = "pop")]
    #[doc(alias = "flash")]
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = self.get(key)?;
        if value.is_some() {
            self.remove(key);
        }
        Ok(value)
    }

    /// Sets an entry to what `f` makes of its value, and returns that.
    ///
    /// When other tasks of the same request change the entry meanwhile, `f` runs again on the fresh value,
    /// so that no update is lost: it must not do anything but compute.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// let n: u64 = session.update("n", |n| n.unwrap_or(0) + 1)?;
    /// assert_eq!(n, 1);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and [`insert`](Self::insert).
    #[doc(alias = "modify")]
    pub fn update<T>(
        &self,
        key: &str,
        f: impl Fn(Option<T>) -> T + Send + Sync + 'static,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        check_key(key)?;
        loop {
            let before = self.state().value(key);
            let value = f(before
                .as_deref()
                .map(|json| from_json(key, json))
                .transpose()?);
            let json = to_json(key, &value)?;
            let unchanged = |now: Option<&[u8]>| now == before.as_deref();
            if self
                .state()
                .set_if(self.rules(), "update", key, Some(&json), unchanged)?
            {
                return Ok(value);
            }
        }
    }

    /// Whether there is an entry of that key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.state().inspect(|entries| entries.get(key).is_some())
    }

    /// The keys of all entries, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.state()
            .inspect(|entries| entries.iter().map(|(key, _)| key.to_owned()).collect())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.state().inspect(|entries| entries.iter().count())
    }

    /// Whether there are no entries. There may be an owner all the same.
    pub fn is_empty(&self) -> bool {
        self.state()
            .inspect(|entries| entries.as_bytes().is_empty())
    }

    /// Removes all entries. The owner stays: to end a login, use [`logout`](Self::logout).
    ///
    /// A session without entries and owner is none: its cookie is removed.
    pub fn clear(&self) {
        self.state().clear();
    }

    /// The whole session as one struct, whose fields are the entries.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(default)]
    /// struct Visitor {
    ///     cart: Vec<String>,
    ///     #[serde(skip_serializing_if = "Option::is_none")]
    ///     theme: Option<String>,
    /// }
    ///
    /// # let session = tower_sealed_session::testing::example();
    /// let mut visitor: Visitor = session.read()?;
    /// visitor.cart.push("tea".to_owned());
    /// session.write(&visitor)?;
    ///
    /// assert_eq!(session.get::<Vec<String>>("cart")?.unwrap(), ["tea"]);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// Entries without a field are ignored, fields without an entry need a `#[serde(default)]`; see
    /// [changing a session's shape](crate::guide::shape).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`] if the entries do not make a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let entries: Vec<_> = self.state().inspect(|entries| {
            entries
                .iter()
                .map(|(key, json)| (key.to_owned(), json.to_vec()))
                .collect()
        });
        whole::from_entries(entries.iter().map(|(key, json)| (&**key, &**json)))
            .map_err(|_| Error::wrong_type::<T>(None))
    }

    /// Sets an entry for each field of a struct, or each pair of a map: all, or none on an error.
    ///
    /// Entries of other names stay, and a field that is skipped by `skip_serializing_if` is removed, so
    /// that [`read`](Self::read) returns what was written. (serde does not tell of skipped fields in a
    /// struct that has `#[serde(flatten)]`.)
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert); [`ErrorKind::Encoding`] also if it is neither struct nor map.
    pub fn write<T: Serialize + ?Sized>(&self, whole: &T) -> Result<(), Error> {
        let fields = whole::to_fields(whole).map_err(|_| Error::encoding::<T>(None))?;
        fields.iter().try_for_each(|(key, _)| check_key(key))?;
        self.state().set_all(self.rules(), "write", &fields)
    }
}

/// # Identity and life
impl Session {
    /// The session's id, which is drawn when first asked for, or when the session is first sent.
    ///
    /// It is kept only if the session is, that is, if it has an entry or an owner.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`] if the operating system gives no randomness, [`ErrorKind::LoggedOut`] after `logout`.
    pub fn id(&self) -> Result<SessionId, Error> {
        self.state().id(self.rules())
    }

    /// When the session began: at its login, else at the request that first used it.
    pub fn created_at(&self) -> OffsetDateTime {
        moment(self.state().created())
    }

    /// When the session ends if it is not used again, by the layer's timeouts of today.
    pub fn expires_at(&self) -> OffsetDateTime {
        moment(self.state().end(self.rules()))
    }

    /// Whose session it is: what was given to [`login`](Self::login).
    #[doc(alias = "user_id")]
    pub fn owner(&self) -> Option<String> {
        self.state().owner()
    }

    /// Makes the session that of `owner`, under a new id and with a new life that begins now.
    ///
    /// The entries stay if the session had no owner or the same one, as with a cart that was filled before;
    /// another owner's are dropped. It is not remembered: call [`remember`](Self::remember) after it.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// session.insert("cart", ["tea"])?;
    /// session.login("user-42")?;
    /// assert_eq!(session.owner().as_deref(), Some("user-42"));
    /// assert!(session.contains_key("cart"));
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOwner`], [`ErrorKind::TooLarge`], [`ErrorKind::Late`], and
    /// [`ErrorKind::LoggedOut`] after `logout` in the same request; nothing is changed then.
    ///
    /// # Security
    ///
    /// Call it on every authentication, also on a step up: the old id is ended, so that responses to requests
    /// still in flight under it cannot undo the login (within this process).
    pub fn login(&self, owner: impl fmt::Display) -> Result<(), Error> {
        self.state().login(self.rules(), &owner.to_string())
    }

    /// Gives the session a new id and keeps all else: for a change of privilege.
    ///
    /// If another request renewed or ended the session meanwhile, this request's changes are dropped.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        self.state().renew();
    }

    /// Lets the session live for `lifetime` from its creation, with no idle limit.
    ///
    /// Whole seconds count. The layer's [`max_remember`](crate::SessionLayerBuilder::max_remember) is the limit.
    pub fn remember(&self, lifetime: Duration) {
        self.state().remember(lifetime);
    }

    /// Ends the session: it is empty from here on, and the response removes the cookie.
    ///
    /// Nothing brings it back in this request: later changes are an event and change nothing, and `login` fails.
    ///
    /// # Security
    ///
    /// Responses to requests in flight cannot bring it back either, within this process. A copy of the cookie
    /// that someone made before remains valid until it expires: nothing on the server knows that it ended.
    #[doc(alias = "flush")]
    #[doc(alias = "purge")]
    #[doc(alias = "destroy")]
    #[doc(alias = "delete")]
    pub fn logout(&self) {
        self.state().logout();
    }

    /// Makes sure that what changed is kept before the handler goes on.
    ///
    /// With the state in the cookie there is nothing to wait for, since the response itself carries it. Code that
    /// calls it all the same works on with a store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Late`] if the response's head has been sent.
    pub async fn commit(&self) -> Result<(), Error> {
        self.home.commit()
    }

    /// Whether the session is valid now: for a task that holds one longer than a request takes, such as a socket.
    ///
    /// It is not after its time, which a socket's own traffic does not extend, and after a `login`, `renew` or
    /// `logout` of another request in this process, for at least a minute.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Clock`] if the clock shows a moment before 1970.
    pub async fn still_valid(&self) -> Result<bool, Error> {
        self.home.still_valid()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("entries", &self.len())
            .field("owned", &self.owner().is_some())
            .finish_non_exhaustive()
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        1..=255 => Ok(()),
        _ => Err(ErrorKind::InvalidKey.into()),
    }
}

fn to_json<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|_| Error::encoding::<T>(Some(key)))
}

fn from_json<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|_| Error::wrong_type::<T>(Some(key)))
}
