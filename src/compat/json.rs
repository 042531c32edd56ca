//! Converts the members of a JSON object to entries.

use serde::de::IgnoredAny;

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
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let text = compact(text)?;
    let members = members(&text)?;
    let fits = |key: &str| (1..=255).contains(&key.len());
    let left_out = members.iter().any(|(key, _)| !fits(key));
    let values = members.iter().filter(|(key, _)| fits(key));
    let values = values.map(|(key, value)| (&**key, Some(*value))).collect();
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

/// Formats a JSON text as `serde_json` does, except that numbers stay unchanged. The text must be
/// well-formed.
fn compact(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
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

/// The members of a compact JSON object. `None` if the text is another value.
fn members(text: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let mut members = Vec::new();
    let mut rest = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    while !rest.is_empty() {
        let (key, value) = rest.split_at(string_len(rest));
        let value = value.strip_prefix(b":")?;
        let len = value_len(value);
        members.push((serde_json::from_slice(key).ok()?, &value[..len]));
        rest = value[len..].strip_prefix(b",").unwrap_or_default();
    }
    Some(members)
}

/// The length of the compact value at the start of `bytes`, which ends with a comma or with
/// `bytes`.
fn value_len(bytes: &[u8]) -> usize {
    let (mut len, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(len) {
        match byte {
            b',' if depth == 0 => break,
            b'"' => len += string_len(&bytes[len..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        len += 1;
    }
    len
}

/// The length of the string at the start of `bytes`, with its quotes. It must be well-formed.
fn string_len(bytes: &[u8]) -> usize {
    let mut len = 1;
    while bytes[len] != b'"' {
        len += if bytes[len] == b'\\' { 2 } else { 1 };
    }
    len + 1
}
