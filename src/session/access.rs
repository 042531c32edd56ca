use std::{io, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    fields,
    handle::Session,
    journal::Journal,
    json::{self, Refused},
};
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
    /// [`ErrorKind::WrongType`] if the entry has another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.state()
            .value(key)
            .map(|json| from_json(key, &json))
            .transpose()
    }

    /// Sets an entry.
    ///
    /// If the JSON is equal to the present one, the session is not changed and no cookie is sent.
    /// Use a `BTreeMap` rather than a `HashMap`, whose order differs each time.
    ///
    /// # What can be read again
    ///
    /// Every finite `f32` and `f64` comes back with the same bits. Values that `serde_json` would
    /// write but not read are refused: `NaN`, infinity, and more than 126 nested lists and objects.
    ///
    /// serde cannot read some types from JSON, whatever their value: 128-bit integers, and maps
    /// with number keys, inside `#[serde(untagged)]`, `#[serde(flatten)]` or
    /// `#[serde(tag = "…")]`. `insert` does not detect this, and [`get`](Self::get) then fails.
    /// `None` inside `Some` comes back as `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`], [`ErrorKind::Encoding`], [`ErrorKind::InvalidKey`] and
    /// [`ErrorKind::Late`]. The session then stays as it was.
    pub fn insert(&self, key: &str, value: impl Serialize) -> Result<(), Error> {
        check_key(key)?;
        let mut json = json::Buffer::new();
        to_json(&mut json, key, &value)?;
        self.change(
            "insert",
            self.state().set(self.rules(), key, json.as_bytes()),
        )?;
        Ok(())
    }

    /// Removes an entry. Returns whether there was one.
    #[doc(alias = "delete")]
    pub fn remove(&self, key: &str) -> bool {
        let removed = self.change("remove", self.state().remove(self.rules(), key));
        removed.unwrap_or(false)
    }

    /// Reads an entry and removes it: for a value that is shown once, such as a notice.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// session.insert("notice", "saved")?;
    /// assert_eq!(session.take::<String>("notice")?.as_deref(), Some("saved"));
    /// assert_eq!(session.take::<String>("notice")?, None);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// Two requests that come at the same time can both take the value, also with a store and a
    /// [`commit`](Self::commit): the second one removes an entry that is gone already. What must be
    /// used only once, such as a voucher, belongs into a database.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`] if the entry has another type. The entry then stays.
    #[doc(alias = "pop")]
    #[doc(alias = "flash")]
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        loop {
            let Some(before) = self.state().value(key) else {
                return Ok(None);
            };
            let value = from_json(key, &before)?;
            let log = |journal: &mut Journal, value| journal.set(key, value);
            let taken = self
                .state()
                .replace(self.rules(), key, Some(&before), None, log);
            // if it is too late to remove the entry, it can still be shown
            if !matches!(self.change("take", taken), Ok(false)) {
                return Ok(Some(value));
            }
        }
    }

    /// Sets an entry to the result of `f` on its present value, and returns that result.
    ///
    /// `f` should only compute, since it can run more than once. It runs again on the new value if
    /// another task of the same request changes the entry at the same time, so that no update is
    /// lost. With a store, it also runs again if another request changed the entry before the
    /// response. The saved value then differs from the one returned here.
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
    /// The errors of [`get`](Self::get) and [`insert`](Self::insert).
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
            let Some(compute) = &f else {
                unreachable!("`f` is taken only in the last round")
            };
            let before = self.state().value(key);
            let (value, json) = computed(key, before.as_deref(), compute)?;
            let log = |journal: &mut Journal, json| {
                let (f, owned) = (f.take(), Box::<str>::from(key));
                let compute = move |before: Option<&[u8]>| match &f {
                    Some(f) => computed(&owned, before, f).map(|(_, json)| json),
                    None => unreachable!("`f` is taken once"),
                };
                journal.update(key, Arc::new(compute), json);
            };
            let replaced =
                self.state()
                    .replace(self.rules(), key, before.as_deref(), Some(json), log);
            if self.change("update", replaced)? {
                return Ok(value);
            }
        }
    }

    /// Whether there is an entry with that key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.state().contains_key(key)
    }

    /// The keys of all entries, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.state()
            .inspect(|entries| entries.iter().map(|(key, _)| key.to_owned()).collect())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.state().inspect(|entries| entries.iter().count())
    }

    /// Whether there are no entries. There may still be an owner.
    pub fn is_empty(&self) -> bool {
        self.state()
            .inspect(|entries| entries.as_bytes().is_empty())
    }

    /// Removes all entries. The owner stays: to end a login, use [`logout`](Self::logout).
    ///
    /// If the session has neither entries nor an owner, the response removes its cookie.
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
    /// Entries without a field are ignored. Fields without an entry need `#[serde(default)]`; see
    /// [changing a session's shape](crate::guide::shape).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`] if the entries do not deserialize as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let object = self.state().inspect(fields::to_object);
        json::parse(&object).ok_or_else(|| Error::wrong_type::<T>(None))
    }

    /// Sets an entry for each field of a struct or each pair of a map. On an error, none is set.
    ///
    /// The keys of a map can be text, numbers, `bool`, `char` and variants without fields, as in a
    /// map inside a value.
    ///
    /// Entries with other names stay. A field that `skip_serializing_if` skips is removed, so that
    /// [`read`](Self::read) returns the struct that was written. (serde does not report skipped
    /// fields of a struct with `#[serde(flatten)]`.)
    ///
    /// # Errors
    ///
    /// The errors of [`insert`](Self::insert), and [`ErrorKind::Encoding`] if the value is neither
    /// a struct nor a map.
    pub fn write<T: Serialize + ?Sized>(&self, whole: &T) -> Result<(), Error> {
        let fields = fields::to_fields(whole)
            .map_err(|Refused(reason)| Error::encoding::<T>(None, reason))?;
        fields.iter().try_for_each(|(key, _)| check_key(key))?;
        let fields = fields.iter().collect();
        self.change("write", self.state().set_all(self.rules(), fields))?;
        Ok(())
    }
}

/// The result of `f` on an entry, and its JSON.
fn computed<T: Serialize + DeserializeOwned>(
    key: &str,
    before: Option<&[u8]>,
    f: impl Fn(Option<T>) -> T,
) -> Result<(T, Vec<u8>), Error> {
    let value = f(before.map(|json| from_json(key, json)).transpose()?);
    let mut json = Vec::with_capacity(128);
    to_json(&mut json, key, &value)?;
    Ok((value, json))
}

pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        1..=255 => Ok(()),
        _ => Err(ErrorKind::InvalidKey.into()),
    }
}

fn to_json<T: Serialize>(out: &mut impl io::Write, key: &str, value: &T) -> Result<(), Error> {
    json::append(out, value).map_err(|Refused(reason)| Error::encoding::<T>(Some(key), reason))
}

fn from_json<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, Error> {
    json::parse(json).ok_or_else(|| Error::wrong_type::<T>(Some(key)))
}
