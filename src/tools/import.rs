//! Importing what another system kept for its users.

use std::{collections::BTreeMap, fmt};

use time::OffsetDateTime;

use crate::{
    clock::{self, Millis},
    entries::{Entries, Merge},
    error::{Error, ErrorKind},
    layer::SessionLayer,
    session::{check_key, check_row},
    stored::{FoundImport, MAX_OLD_ID, NewImport, Rows, Source},
};

/// Entries that wait for the next login of their owner, or for a request with their old id; see
/// [`import`].
pub struct Import {
    owner: String,
    old_id: Option<String>,
    entries: BTreeMap<String, String>,
    source: Source,
    expires: Millis,
}

/// What the store had of an [`Import`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportFound {
    /// Nothing.
    Nothing,
    /// The same.
    Same,
    /// Entries of this owner from another file, or from an earlier session of this file.
    Older,
    /// Entries of this owner from a later session of this file.
    Newer,
    /// A login of the owner has taken the entries since.
    Used,
}

impl Import {
    /// An import without entries. It is deleted at `expires`, if the owner does not log in before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOwner`] unless the owner has 1 to 255 bytes.
    pub fn new(owner: impl Into<String>, expires: OffsetDateTime) -> Result<Self, Error> {
        let owner = owner.into();
        if owner.is_empty() || owner.len() > 255 {
            return Err(ErrorKind::InvalidOwner.into());
        }
        Ok(Self {
            owner,
            old_id: None,
            entries: BTreeMap::new(),
            source: Source {
                file: [0; 8],
                position: 0,
            },
            expires: clock::millis(expires),
        })
    }

    /// The file, by the first bytes of its hash, and the number of the session in it. If a file has
    /// several sessions of an owner, the last one is imported, in whatever order they come.
    #[must_use]
    pub fn source(mut self, file: [u8; 8], position: u64) -> Self {
        self.source = Source { file, position };
        self
    }

    /// The id of the session in the old system. The entries are then found by it rather than at a
    /// login, with [`SessionLayerBuilder::adopt_ids_from_cookie`], and the first request with the id
    /// is logged in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOldId`] unless the id has 1 to 256 bytes and can be the value of a cookie:
    /// it has no control characters, double quotes, commas, semicolons or backslashes, and no spaces.
    ///
    /// # Security
    ///
    /// Anyone who has the old id can take the session. So do this only if the ids were never in a
    /// file that others have, such as one in a repository.
    ///
    /// [`SessionLayerBuilder::adopt_ids_from_cookie`]:
    ///     crate::SessionLayerBuilder::adopt_ids_from_cookie
    pub fn old_id(mut self, id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let is_in_no_cookie = |byte: u8| byte <= b' ' || byte == 0x7f || b"\",;\\".contains(&byte);
        if !(1..=MAX_OLD_ID).contains(&id.len()) || id.bytes().any(is_in_no_cookie) {
            return Err(ErrorKind::InvalidOldId.into());
        }
        self.old_id = Some(id);
        Ok(self)
    }

    /// Adds an entry with the JSON text of its value. White space in it is removed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`] unless the key has 1 to 255 bytes, and [`ErrorKind::Encoding`] if
    /// the text is not JSON that [`Session::get`](crate::Session::get) can read.
    pub fn json(&mut self, key: &str, json: &str) -> Result<(), Error> {
        check_key(key)?;
        // one level deeper, as `Session::read` has it
        let value = format!("[{json}]");
        if serde_json::from_str::<[serde_json::Value; 1]>(&value).is_err() {
            return Err(Error::encoding::<serde_json::Value>(None, None));
        }
        self.entries.insert(key.to_owned(), compact(json));
        Ok(())
    }

    fn encoded(&self) -> Result<Vec<u8>, Error> {
        let pairs = self.entries.iter();
        let pairs = pairs.map(|(key, json)| (key.as_str(), Some(json.as_bytes())));
        let merge = Merge::new(Entries::default(), pairs.collect());
        check_row(Some(self.owner.len()), merge.len(), || merge.sizes())?;
        Ok(merge.apply())
    }

    fn with<'a>(&'a self, entries: &'a [u8]) -> NewImport<'a> {
        NewImport {
            owner: &self.owner,
            old_id: self.old_id.as_deref(),
            entries: Entries::trusted(entries),
            source: self.source,
            expires: self.expires,
        }
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}

/// Saves entries in the store of a layer, for the next login of their owner. There,
/// [`Session::adopt_imported`](crate::Session::adopt_imported) takes them. With an
/// [old id](Import::old_id), a request with that id takes them.
///
/// Returns what the store had before. [`Nothing`](ImportFound::Nothing): they are saved now.
/// [`Older`](ImportFound::Older): they have replaced what was there. Otherwise nothing was changed:
/// what the app has used since is never overwritten. So an import that broke off can be run again.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_sealed_session::Error> {
/// use std::time::{Duration, SystemTime};
/// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
/// use tower_sealed_session::tools::{Import, ImportFound, import};
///
/// let layer = SessionLayer::new(KeyRing::ephemeral()?).store(MemoryStore::new());
/// let in_30_days = SystemTime::now() + Duration::from_secs(30 * 24 * 3600);
/// let mut entries = Import::new("ada", in_30_days.into())?;
/// entries.json("env_vars", r#"{"THEME": "dark"}"#)?;
///
/// assert_eq!(import(&layer, &entries).await?, ImportFound::Nothing);
/// assert_eq!(import(&layer, &entries).await?, ImportFound::Same);
/// # Ok(()) }
/// # #[cfg(not(feature = "memory"))]
/// # fn main() {}
/// ```
///
/// # Errors
///
/// [`ErrorKind::TooLarge`] if the entries do not fit a row, which has 64 KiB.
/// [`ErrorKind::Unavailable`] if the layer has no store, if it cannot be reached, or if its row of
/// this owner was sealed with another secret.
pub async fn import(layer: &SessionLayer, import: &Import) -> Result<ImportFound, Error> {
    let entries = import.encoded()?;
    let now = layer.config().clock.now().ok_or(ErrorKind::Clock)?;
    let found = rows(layer)?.import(import.with(&entries), now).await?;
    Ok(found.into())
}

/// What the store of a layer has of an import. Changes nothing.
///
/// # Errors
///
/// The same as for [`import`].
pub async fn find_import(layer: &SessionLayer, import: &Import) -> Result<ImportFound, Error> {
    let entries = import.encoded()?;
    Ok(rows(layer)?
        .find_import(import.with(&entries))
        .await?
        .into())
}

fn rows(layer: &SessionLayer) -> Result<Rows<'_>, Error> {
    layer.config().rows().ok_or_else(Error::no_store)
}

impl From<FoundImport> for ImportFound {
    fn from(found: FoundImport) -> Self {
        match found {
            FoundImport::Nothing => Self::Nothing,
            FoundImport::Same => Self::Same,
            FoundImport::Older => Self::Older,
            FoundImport::Newer => Self::Newer,
            FoundImport::Used => Self::Used,
        }
    }
}

/// JSON text without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|&char| {
        if in_string {
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
            return true;
        }
        in_string = char == '"';
        !matches!(char, ' ' | '\t' | '\n' | '\r')
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_inside_strings_stays() {
        let json = "{ \"a b\" : [ 1 , \"\\\" \\\\\" , \"x\\\\\" ],\n\t\"c\":\r\n2 }";
        let value = |json| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
        assert_eq!(compact(json), r#"{"a b":[1,"\" \\","x\\"],"c":2}"#);
        assert_eq!(value(&compact(json)), value(json));
    }

    #[test]
    fn json_that_a_session_cannot_read_is_refused() {
        let mut import = Import::new("ada", OffsetDateTime::UNIX_EPOCH).expect("an owner");
        let deep = "[".repeat(127) + &"]".repeat(127);
        for json in ["", "NaN", "1 2", "1,2", "1],[2", "1e999", "{", &deep] {
            let error = import.json("key", json).expect_err(json);
            assert_eq!(error.kind(), ErrorKind::Encoding);
        }
        let error = import.json("", "1").expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        assert!(
            import
                .json("key", " [1.50, 1e400000000000000000000]")
                .is_err()
        );
        import.json("key", &deep[1..253]).expect("126 levels");
        import
            .json("key", " [1.50, 12345678901234567890123]")
            .expect("JSON");
    }
}
