use serde::{Serialize, de::DeserializeOwned};

use super::{Session, replay::Op, whole};
use crate::error::{Error, ErrorKind};

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

    /// Sets an entry. Equal JSON is no change: no cookie is sent for it. (A `HashMap` has another order each time;
    /// a `BTreeMap` has one.)
    ///
    /// `None` and `NaN` are JSON's `null`, which [`get`](Self::get) reads as an `Option` alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`], [`ErrorKind::Encoding`], [`ErrorKind::InvalidKey`] and [`ErrorKind::Late`];
    /// the session then stays as it was.
    pub fn insert(&self, key: &str, value: impl Serialize) -> Result<(), Error> {
        check_key(key)?;
        let json = to_json(key, &value)?;
        self.change("insert", self.state().set(self.rules(), key, json))?;
        Ok(())
    }

    /// Removes an entry, and says whether there was one.
    #[doc(alias = "delete")]
    pub fn remove(&self, key: &str) -> bool {
        let removed = self.change("remove", self.state().remove(self.rules(), key));
        removed.is_ok_and(|removed| removed == Some(true))
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
        loop {
            let Some(before) = self.state().value(key) else {
                return Ok(None);
            };
            let value = from_json(key, &before)?;
            let op = || Op::Remove(key.into());
            let taken = self
                .state()
                .replace(self.rules(), key, Some(&before), None, op);
            // too late to remove it is no reason not to show it
            if !matches!(self.change("take", taken), Ok(Some(false))) {
                return Ok(Some(value));
            }
        }
    }

    /// Sets an entry to what `f` makes of its value, and returns that.
    ///
    /// When other tasks of the same request change the entry meanwhile, `f` runs again on the fresh value,
    /// so that no update is lost: it must not do anything but compute. With a store, it also runs again when another request
    /// changed the entry before the response: what is kept then is more than what was returned here.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// let n: u64 = session.update("n", |n| n.unwrap_or(0) + 1)?;
    /// assert_eq!(n, 1);
    ///
    /// let item = String::from("tea");
    /// session.update("cart", move |cart: Option<Vec<String>>| {
    ///     let mut cart = cart.unwrap_or_default();
    ///     cart.push(item.clone());
    ///     cart
    /// })?;
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
        let mut f = Some(f);
        loop {
            let Some(remake) = &f else {
                unreachable!("it is taken where the loop ends")
            };
            let before = self.state().value(key);
            let (value, json) = remade(key, before.as_deref(), remake)?;
            let op = || {
                let (f, owned) = (f.take(), Box::<str>::from(key));
                let key = owned.clone();
                let remake = move |before: Option<&[u8]>| match &f {
                    Some(f) => remade(&owned, before, f).map(|(_, json)| json),
                    None => unreachable!("it is taken once"),
                };
                Op::Update(key, Box::new(remake))
            };
            let replaced =
                self.state()
                    .replace(self.rules(), key, before.as_deref(), Some(&json), op);
            if self.change("update", replaced)? != Some(false) {
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
        let _ = self.change("clear", self.state().clear(self.rules()));
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
        let object = self.state().inspect(whole::to_object);
        serde_json::from_slice(&object).map_err(|_| Error::wrong_type::<T>(None))
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
        let fields = fields.iter().collect();
        self.change("write", self.state().set_all(self.rules(), fields))?;
        Ok(())
    }
}

/// What `f` makes of an entry, and its JSON.
fn remade<T: Serialize + DeserializeOwned>(
    key: &str,
    before: Option<&[u8]>,
    f: impl Fn(Option<T>) -> T,
) -> Result<(T, Vec<u8>), Error> {
    let value = f(before.map(|json| from_json(key, json)).transpose()?);
    let json = to_json(key, &value)?;
    Ok((value, json))
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
