//! Converts the members of a JSON object to entries.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::entries::{Entries, MAX_VALUE_LEN, Merge};

/// The members of a JSON object, converted to entries.
pub(super) struct Members {
    /// The bytes of [`Entries`].
    pub(super) entries: Vec<u8>,
    /// Whether members were left out because their key does not have 1 to 255 bytes.
    pub(super) left_out: bool,
}

/// Parses a JSON object. If a name occurs several times, the last member counts, as in Python.
/// Numbers keep all their digits.
///
/// Returns `None` if the text has 2 MiB or more, or is not a JSON object: for example a list, or if
/// it contains a bare `NaN` or half a surrogate pair.
pub(super) fn parse(text: &[u8]) -> Option<Members> {
    if text.len() > MAX_VALUE_LEN {
        return None;
    }
    let Object(members) = serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
    let mut compacted = Vec::with_capacity(members.len());
    for (key, value) in &members {
        compacted.push((&**key, compact(value.get())?));
    }
    let fits = |key: &str| (1..=255).contains(&key.len());
    let left_out = compacted.iter().any(|(key, _)| !fits(key));
    let values = compacted.iter().filter(|(key, _)| fits(key));
    let values = values.map(|(key, value)| (*key, Some(&**value))).collect();
    Some(Members {
        entries: Merge::new(Entries::default(), values).apply(),
        left_out,
    })
}

/// The length of the JSON object for entries with these keys and lengths of values.
pub(crate) fn object_len(sizes: &[(String, usize)]) -> usize {
    let members = sizes.iter().map(|(key, value)| {
        let key = serde_json::to_string(key).map_or(0, |key| key.len());
        key + ":,".len() + value
    });
    "{}".len() + members.sum::<usize>()
}

/// Formats a value as `serde_json` does, except that numbers stay unchanged.
fn compact(value: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(&byte) = rest.as_bytes().first() {
        let len = match byte {
            b'"' => {
                let len = string_len(rest.as_bytes());
                let text: String = serde_json::from_str(&rest[..len]).ok()?;
                serde_json::to_writer(&mut out, &text).ok()?;
                len
            }
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            _ => {
                out.push(byte);
                1
            }
        };
        rest = &rest[len..];
    }
    Some(out)
}

/// The length of the string at the start of `bytes`, with its quotes. It must be well-formed.
fn string_len(bytes: &[u8]) -> usize {
    let mut len = 1;
    while bytes[len] != b'"' {
        len += if bytes[len] == b'\\' { 2 } else { 1 };
    }
    len + 1
}

struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
