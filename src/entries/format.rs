//! The encoding of entries, and how to read it.

use std::fmt;

/// Authentic bytes that are not valid in this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The maximum length of a value: three LEB128 bytes hold no more. No cookie or row is that long.
pub(crate) const MAX_VALUE_LEN: usize = (1 << 21) - 1;

/// Entries in their canonical encoding.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({} bytes)", self.0.len())
    }
}

/// One entry, and the offset where it ends.
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) end: usize,
}

impl<'a> Entries<'a> {
    /// Checks `bytes`: entries, then any number of zeros as padding.
    #[inline(always)] // see `Codec::open`
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut last = &b""[..];
        let mut start = 0;
        while let Some(entry) = entry_at(bytes, start)? {
            // comparing the first byte is enough in most cases
            let ascends = entry.key.first() > last.first() || entry.key > last;
            if !ascends || !is_utf8(entry.key) {
                return Err(Malformed);
            }
            (last, start) = (entry.key, entry.end);
        }
        let (entries, padding) = bytes.split_at(start);
        match padding.iter().all(|&b| b == 0) {
            true => Ok(Self(entries)),
            false => Err(Malformed),
        }
    }

    /// Wraps the bytes of entries that were parsed or made here, without a check.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn get(self, key: &str) -> Option<&'a [u8]> {
        let mut entries = self.walk().map(|(_, entry)| entry);
        entries
            .find(|entry| entry.key == key.as_bytes())
            .map(|entry| entry.value)
    }

    /// Each key, with the length of its value.
    pub(crate) fn sizes(self) -> Vec<(String, usize)> {
        self.iter()
            .map(|(key, value)| (key.to_owned(), value.len()))
            .collect()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.walk().map(|(_, entry)| {
            let key =
                std::str::from_utf8(entry.key).expect("keys are checked before they get here");
            (key, entry.value)
        })
    }

    pub(super) fn walk(self) -> impl Iterator<Item = (usize, Entry<'a>)> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let entry = entry_at(self.0, start).ok()??;
            let at = std::mem::replace(&mut start, entry.end);
            Some((at, entry))
        })
    }
}

/// The length of an entry's encoding.
#[inline]
pub(super) fn entry_len(key: impl AsRef<[u8]>, value: &[u8]) -> usize {
    1 + key.as_ref().len() + Leb128::len_of(value.len()) + value.len()
}

#[inline]
pub(super) fn append(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.reserve(entry_len(key, value));
    out.push(u8::try_from(key.len()).expect("keys are checked before they get here"));
    out.extend_from_slice(key);
    out.extend_from_slice(Leb128::new(value.len()).as_bytes());
    out.extend_from_slice(value);
}

/// The entry at `start`, or `None` where the entries end.
#[inline]
pub(super) fn entry_at(bytes: &[u8], start: usize) -> Result<Option<Entry<'_>>, Malformed> {
    let Some((&key_len, rest)) = bytes.get(start..).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    if key_len == 0 {
        return Ok(None);
    }
    let (key, rest) = rest.split_at_checked(key_len.into()).ok_or(Malformed)?;
    let (value_len, rest) = Leb128::parse(rest)?;
    let (value, rest) = rest.split_at_checked(value_len).ok_or(Malformed)?;
    if value.is_empty() {
        return Err(Malformed);
    }
    Ok(Some(Entry {
        key,
        value,
        end: bytes.len() - rest.len(),
    }))
}

/// Whether a key is UTF-8. ASCII is checked first: that is faster, and most keys are ASCII.
fn is_utf8(key: &[u8]) -> bool {
    key.is_ascii() || std::str::from_utf8(key).is_ok()
}

/// A length as LEB128: seven bits a byte, the lowest first, the high bit set on all but the last.
struct Leb128 {
    bytes: [u8; 3],
    len: usize,
}

impl Leb128 {
    fn new(value: usize) -> Self {
        debug_assert!(value <= MAX_VALUE_LEN);
        let seven = |shift: u32| (value >> shift) as u8 & 0x7f;
        let len = Self::len_of(value);
        let bytes = match len {
            1 => [seven(0), 0, 0],
            2 => [seven(0) | 0x80, seven(7), 0],
            _ => [seven(0) | 0x80, seven(7) | 0x80, seven(14)],
        };
        Self { bytes, len }
    }

    fn len_of(value: usize) -> usize {
        match value {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            _ => 3,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns the value and the rest. The encoding must be minimal and have at most three bytes.
    fn parse(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
        if let [byte @ 0..0x80, rest @ ..] = bytes {
            return Ok((usize::from(*byte), rest));
        }
        let mut value = 0;
        for (n, &byte) in bytes.iter().take(3).enumerate() {
            value |= usize::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return if byte != 0 {
                    Ok((value, &bytes[n + 1..]))
                } else {
                    Err(Malformed)
                };
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::Edited;

    fn set(bytes: &[u8], key: &str, value: Option<&str>) -> Vec<u8> {
        let mut edited = Edited::copy(Entries::trusted(bytes));
        edited.change(key, value.map(str::as_bytes));
        let out = edited.sorted().as_bytes().to_vec();
        assert_eq!(Entries::parse(&out).expect("canonical").as_bytes(), out);
        out
    }

    #[test]
    fn bytes_do_not_depend_on_the_order_of_writes() {
        let forward = set(
            &set(&set(b"", "a", Some("1")), "b", Some("2")),
            "ab",
            Some("3"),
        );
        let backward = set(
            &set(&set(b"", "ab", Some("3")), "b", Some("2")),
            "a",
            Some("1"),
        );
        assert_eq!(forward, backward);
        assert_eq!(forward, b"\x01a\x011\x02ab\x013\x01b\x012");
    }

    #[test]
    fn reverted_changes_restore_the_bytes() {
        let before = set(&set(b"", "a", Some("1")), "b", Some("2"));
        assert_eq!(
            set(&set(&before, "a", Some("\"long\"")), "a", Some("1")),
            before
        );
        assert_eq!(set(&set(&before, "c", Some("3")), "c", None), before);
        assert_eq!(set(&before, "c", None), before);
    }

    #[test]
    fn lengths_of_one_two_and_three_bytes_round_trip() {
        for len in [1, 127, 128, 129, 16_383, 16_384, 70_000] {
            let value = "7".repeat(len);
            let bytes = set(b"", "k", Some(&value));
            assert_eq!(Entries::trusted(&bytes).get("k"), Some(value.as_bytes()));
        }
        for len in [0, 0x7f, 0x80, 0x3fff, 0x4000, MAX_VALUE_LEN] {
            let leb = Leb128::new(len);
            assert_eq!(Leb128::parse(leb.as_bytes()), Ok((len, &[][..])));
        }
    }

    #[test]
    fn non_canonical_bytes_are_malformed() {
        let cases: [&[u8]; 9] = [
            b"\x01b\x011\x01a\x011",   // out of order
            b"\x01a\x011\x01a\x012",   // twice
            b"\x01a\x00",              // empty value
            b"\x01a\x7f1",             // past the end
            b"\x05a",                  // key past the end
            b"\x01a\x81\x001",         // not minimal
            b"\x01a\x81\x80\x80\x001", // four bytes
            b"\x01\xff\x011",          // not UTF-8
            b"\x01a\x011\x00\x01",     // padding that is not zero
        ];
        for bytes in cases {
            assert_eq!(Entries::parse(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn debug_shows_no_entry() {
        let bytes = set(b"", "key", Some("\"value\""));
        let shown = format!("{:?}", Entries::trusted(&bytes));
        assert_eq!(shown, "Entries(12 bytes)");
    }

    #[test]
    fn zero_padding_is_removed() {
        for padding in [0, 1, 15, 16, 100] {
            let bytes = [b"\x01a\x011".to_vec(), vec![0; padding]].concat();
            assert_eq!(
                Entries::parse(&bytes).expect("well-formed").as_bytes(),
                b"\x01a\x011"
            );
        }
    }
}
