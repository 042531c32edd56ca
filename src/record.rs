//! A session as bytes: id, times, owner and entries.
//!
//! ```text
//! flags u8 (bit0 remembered, bit1 owner, bit2 entries are in the store; other bits 0)
//! id 16 ‖ created u48 ms since 1970 ‖ issued u32 s after created ‖ lifetime u32 s
//! [owner: u8 length 1..=255 ‖ UTF-8] ‖ entries ‖ zeros
//! ```
//!
//! All big-endian.

use std::{fmt, ops::Range};

use crate::{
    clock::Millis,
    entries::{Entries, Malformed},
    id::{Family, SessionId},
};

const REMEMBERED: u8 = 1;
const OWNER: u8 = 1 << 1;
const STORED: u8 = 1 << 2;

const FIXED_LEN: usize = 1 + SessionId::LEN + 6 + 4 + 4;
const _: () = assert!(FIXED_LEN == 31);

/// A record is padded to a multiple of this many bytes, so that its length reveals less.
pub(crate) const BLOCK: usize = 16;

/// The fixed part of a record: id and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: SessionId,
    pub(crate) times: Times,
}

/// When a session began, when it was last sealed, and how long it may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created: Millis,
    /// Seconds after `created`.
    pub(crate) issued: u32,
    /// Seconds after `created`.
    pub(crate) lifetime: u32,
    /// No idle limit, and `max_remember` instead of the absolute one.
    pub(crate) remembered: bool,
}

impl Head {
    pub(crate) fn family(self) -> Family {
        Family {
            created: self.times.created,
            random: self.id.family(),
        }
    }
}

impl Times {
    /// Sets the time of sealing to `now`, if that is later.
    pub(crate) fn issue(&mut self, now: Millis) {
        let age = u32::try_from(now.saturating_sub(self.created) / 1000).unwrap_or(u32::MAX);
        self.issued = self.issued.max(age);
    }
}

/// An authentic record. It keeps the bytes that it was parsed from.
pub(crate) struct Record {
    pub(crate) head: Head,
    /// Whether the entries are in a store. Then this record has none.
    pub(crate) stored: bool,
    bytes: Vec<u8>,
    owner: Range<usize>,
    entries: Range<usize>,
}

impl Record {
    /// Parses the record at `plaintext` in `bytes`.
    #[inline(always)] // see `Codec::open`
    pub(crate) fn parse(bytes: Vec<u8>, plaintext: Range<usize>) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes[plaintext.clone()]
            .split_first_chunk::<FIXED_LEN>()
            .ok_or(Malformed)?;
        let flags = fixed[0];
        if flags & !(REMEMBERED | OWNER | STORED) != 0 {
            return Err(Malformed);
        }
        let head = Head {
            id: SessionId::new(*fixed[1..].first_chunk().ok_or(Malformed)?),
            times: Times {
                created: be(&fixed[17..23]),
                issued: be(&fixed[23..27]) as u32,
                lifetime: be(&fixed[27..]) as u32,
                remembered: flags & REMEMBERED != 0,
            },
        };
        let (owner, entries) = match flags & OWNER {
            0 => (&b""[..], rest),
            _ => split_owner(rest)?,
        };
        let stored = flags & STORED != 0;
        let len = Entries::parse(entries)?.as_bytes().len();
        if stored && len != 0 {
            return Err(Malformed);
        }
        let start = plaintext.end - entries.len();
        Ok(Self {
            head,
            stored,
            owner: start - owner.len()..start,
            entries: start..start + len,
            bytes,
        })
    }

    /// A record that is made here rather than read from a token.
    pub(crate) fn of(head: Head, owner: Option<&str>, entries: Entries<'_>) -> Self {
        let bytes = encode(head, owner, entries, 0, 0);
        let plaintext = 0..bytes.len();
        Self::parse(bytes, plaintext).expect("it was encoded just now")
    }

    pub(crate) fn owner(&self) -> Option<&str> {
        let owner = &self.bytes[self.owner.clone()];
        // `parse` has checked the owner, and it is never empty there
        (!owner.is_empty()).then(|| std::str::from_utf8(owner).expect("it was UTF-8 when read"))
    }

    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries::trusted(&self.bytes[self.entries.clone()])
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// The length of what [`encode`] returns, without headroom and tail.
pub(crate) const fn encoded_len(owner: Option<usize>, entries: usize) -> usize {
    let owner = match owner {
        Some(len) => 1 + len,
        None => 0,
    };
    (FIXED_LEN + owner + entries).next_multiple_of(BLOCK)
}

/// The bytes of a record, after `headroom` zeros and with capacity for `tail` more.
pub(crate) fn encode(
    head: Head,
    owner: Option<&str>,
    entries: Entries<'_>,
    headroom: usize,
    tail: usize,
) -> Vec<u8> {
    let Head { id, times } = head;
    let remembered = if times.remembered { REMEMBERED } else { 0 };
    let mut fixed = [0; FIXED_LEN];
    fixed[0] = remembered | if owner.is_some() { OWNER } else { 0 };
    fixed[1..17].copy_from_slice(id.as_bytes());
    fixed[17..23].copy_from_slice(&times.created.to_be_bytes()[2..]);
    fixed[23..27].copy_from_slice(&times.issued.to_be_bytes());
    fixed[27..].copy_from_slice(&times.lifetime.to_be_bytes());
    let len = headroom + encoded_len(owner.map(str::len), entries.as_bytes().len());
    let mut out = Vec::with_capacity(len + tail);
    out.resize(headroom, 0);
    out.extend_from_slice(&fixed);
    if let Some(owner) = owner {
        out.push(u8::try_from(owner.len()).expect("owners are checked before they get here"));
        out.extend_from_slice(owner.as_bytes());
    }
    out.extend_from_slice(entries.as_bytes());
    out.resize(len, 0);
    out
}

/// Pads what follows `headroom` bytes with zeros to a multiple of [`BLOCK`].
pub(crate) fn pad(out: &mut Vec<u8>, headroom: usize) {
    let len = (out.len() - headroom).next_multiple_of(BLOCK);
    out.resize(headroom + len, 0);
}

/// The bytes of a ticket: owner and entries are in the store, under this id.
pub(crate) fn encode_ticket(head: Head, headroom: usize, tail: usize) -> Vec<u8> {
    let mut out = encode(head, None, Entries::default(), headroom, tail);
    out[headroom] |= STORED;
    out
}

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Splits off the owner.
fn split_owner(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (&len, rest) = bytes.split_first().ok_or(Malformed)?;
    let (owner, rest) = rest.split_at_checked(len.into()).ok_or(Malformed)?;
    match std::str::from_utf8(owner) {
        Ok(owner) if !owner.is_empty() => Ok((owner.as_bytes(), rest)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Record, Malformed> {
        // an opened token has bytes before and after the record
        let all = [&[7; 21], bytes, &[9; 32]].concat();
        Record::parse(all, 21..21 + bytes.len())
    }

    fn head(remembered: bool) -> Head {
        let times = Times {
            created: (1 << 48) - 1,
            issued: 1,
            lifetime: u32::MAX,
            remembered,
        };
        Head {
            id: SessionId::new(*b"0123456789abcdef"),
            times,
        }
    }

    #[test]
    fn an_encoded_record_parses_to_the_same_record() {
        let entries = Entries::trusted(b"\x01a\x011\x02ab\x013");
        for owner in [None, Some("x"), Some("zo\u{eb}"), Some(&*"o".repeat(255))] {
            for remembered in [false, true] {
                let bytes = encode(head(remembered), owner, entries, 0, 0);
                let record = parse(&bytes).expect("well-formed");
                assert_eq!(record.head, head(remembered));
                assert_eq!(record.owner(), owner);
                assert_eq!(record.entries(), entries);
                assert_eq!(
                    bytes.len(),
                    encoded_len(owner.map(str::len), entries.as_bytes().len())
                );
                assert_eq!(bytes.len() % BLOCK, 0);
            }
        }
    }

    #[test]
    fn every_truncation_below_the_fixed_part_is_malformed() {
        let bytes = encode(head(false), Some("user-42"), Entries::default(), 0, 0);
        for len in 0..FIXED_LEN + 1 + 7 {
            assert!(parse(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(parse(&bytes[..FIXED_LEN + 1 + 7]).is_ok());
    }

    #[test]
    fn encoded_len_is_the_length_of_the_encoding() {
        let entries = Entries::trusted(b"\x01a\x011");
        for owner in 0..=255 {
            let owner = Some("o".repeat(owner)).filter(|owner| !owner.is_empty());
            let bytes = encode(head(false), owner.as_deref(), entries, 0, 0);
            let len = encoded_len(owner.as_ref().map(String::len), 4);
            let least = FIXED_LEN + owner.map_or(0, |owner| 1 + owner.len()) + 4;
            assert_eq!(bytes.len(), len);
            assert!((least..least + BLOCK).contains(&len));
        }
    }

    #[test]
    fn issue_counts_whole_seconds_since_creation_and_never_goes_back() {
        let mut times = head(false).times;
        (times.created, times.issued) = (10_000, 0);
        for (now, issued) in [
            (9_000, 0),
            (10_999, 0),
            (11_000, 1),
            (100_000, 90),
            (50_000, 90),
            (crate::clock::MAX_MILLIS, u32::MAX),
            (0, u32::MAX),
        ] {
            times.issue(now);
            assert_eq!(times.issued, issued, "at {now}");
        }
    }

    #[test]
    fn debug_of_a_record_shows_neither_owner_nor_entries() {
        let entries = Entries::trusted(b"\x01a\x011");
        let record = parse(&encode(head(false), Some("ada"), entries, 0, 0)).expect("well-formed");
        let shown = format!("{record:?}");
        assert!(shown.contains("created") && !shown.contains("ada") && !shown.contains("bytes"));
    }

    #[test]
    fn debug_of_an_id_shows_a_hash() {
        let id = head(false).id;
        assert_eq!(format!("{id:?}").len(), 8);
        assert!(!format!("{id:?}").contains("3031"));
    }
}
