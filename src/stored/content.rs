//! The bytes of a row, before they are sealed.
//!
//! ```text
//! row       = kind u8 ‖ content ‖ zeros to a multiple of 16
//! 1 live    : replaced serials ‖ record
//! 2 ended   : replaced serials ‖ at u48 ‖ ending u8 (1 logout, 2 login, 3 moved)
//!             ‖ next u8 (0 none, 1) ‖ [created u48 ‖ family 8]
//! 3 moved   : created u48 ‖ family 8
//! 4 imported: see `imported`
//! ```
//!
//! The serial that an ended session had last is in its list too. All numbers are big-endian, times
//! in milliseconds since 1970.

use std::ops::Range;

use super::imported::{IMPORTED, Imported};
use crate::{
    clock::Millis,
    entries::Malformed,
    id::{Family, Replaced, Serial, millis},
    record::{self, BLOCK, Record},
    seal,
    session::Draft,
};

const LIVE: u8 = 1;
const ENDED: u8 = 2;
const MOVED: u8 = 3;

/// The content of a row.
#[derive(Debug)]
pub(crate) enum Content {
    Live(Replaced, Record),
    Ended(Tombstone),
    /// The session has moved to the row of that family, out of its cookie or of another store.
    Moved(Family),
    Imported(Imported),
}

/// What is left of a session that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(super) replaced: Replaced,
    pub(super) at: Millis,
    pub(super) ending: Ending,
    /// The family of the login that continues the session.
    pub(super) next: Option<Family>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    LoggedOut = 1,
    LoggedIn = 2,
    /// It is in its cookie again, or it became empty.
    Moved = 3,
}

impl Tombstone {
    pub(super) fn new(ending: Ending, at: Millis, next: Option<Family>) -> Self {
        Self {
            replaced: Replaced::default(),
            at,
            ending,
            next,
        }
    }

    /// The tombstone of a session that had these serials before, and `last` at its end.
    pub(super) fn of(mut self, replaced: Replaced, last: Serial) -> Self {
        self.replaced = replaced;
        self.replaced.push(last, self.at);
        self
    }
}

/// The row of a draft, after [`seal::HEADROOM`] bytes.
pub(super) fn encode_live(replaced: &Replaced, draft: &Draft) -> Vec<u8> {
    let mut head = Vec::with_capacity(1 + Replaced::MAX_LEN);
    head.push(LIVE);
    replaced.encode(&mut head);
    let start = seal::HEADROOM;
    let mut out = draft.encode(start + head.len(), BLOCK + seal::TAG_LEN);
    out[start..][..head.len()].copy_from_slice(&head);
    record::pad(&mut out, seal::HEADROOM);
    out
}

/// The row of a tombstone or pointer, after [`seal::HEADROOM`] bytes.
pub(super) fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    let mut out = buffer(ENDED);
    tombstone.replaced.encode(&mut out);
    out.extend_from_slice(&tombstone.at.to_be_bytes()[2..]);
    out.push(tombstone.ending as u8);
    out.push(tombstone.next.is_some().into());
    if let Some(next) = tombstone.next {
        push_family(&mut out, next);
    }
    record::pad(&mut out, seal::HEADROOM);
    out
}

/// The row of a pointer, after [`seal::HEADROOM`] bytes.
pub(super) fn encode_pointer(to: Family) -> Vec<u8> {
    let mut out = buffer(MOVED);
    push_family(&mut out, to);
    record::pad(&mut out, seal::HEADROOM);
    out
}

impl Content {
    /// Parses the row at `plaintext` in `bytes`.
    pub(super) fn parse(bytes: Vec<u8>, plaintext: Range<usize>) -> Result<Self, Malformed> {
        let (&kind, rest) = bytes[plaintext.clone()].split_first().ok_or(Malformed)?;
        match kind {
            LIVE => {
                let (replaced, rest) = Replaced::parse(rest).ok_or(Malformed)?;
                let start = plaintext.end - rest.len();
                let record = Record::parse(bytes, start..plaintext.end)?;
                match record.stored {
                    false => Ok(Self::Live(replaced, record)),
                    true => Err(Malformed),
                }
            }
            ENDED => parse_tombstone(rest).map(Self::Ended).ok_or(Malformed),
            MOVED => {
                let (family, rest) = split_family(rest).ok_or(Malformed)?;
                match is_padding(rest) {
                    true => Ok(Self::Moved(family)),
                    false => Err(Malformed),
                }
            }
            IMPORTED => {
                let start = plaintext.end - rest.len();
                Imported::parse(bytes, start..plaintext.end).map(Self::Imported)
            }
            _ => Err(Malformed),
        }
    }
}

fn parse_tombstone(bytes: &[u8]) -> Option<Tombstone> {
    let (replaced, rest) = Replaced::parse(bytes)?;
    let (at, rest) = rest.split_first_chunk::<6>()?;
    let ([ending, has_next], rest) = rest.split_first_chunk()?;
    let ending = [Ending::LoggedOut, Ending::LoggedIn, Ending::Moved]
        .into_iter()
        .find(|known| *known as u8 == *ending)?;
    let (next, rest) = match has_next {
        0 => (None, rest),
        1 => split_family(rest).map(|(family, rest)| (Some(family), rest))?,
        _ => return None,
    };
    is_padding(rest).then_some(Tombstone {
        replaced,
        at: millis(at),
        ending,
        next,
    })
}

fn buffer(kind: u8) -> Vec<u8> {
    let mut out = vec![0; seal::HEADROOM];
    out.push(kind);
    out
}

fn push_family(out: &mut Vec<u8>, family: Family) {
    out.extend_from_slice(&family.created.to_be_bytes()[2..]);
    out.extend_from_slice(&family.random);
}

fn split_family(bytes: &[u8]) -> Option<(Family, &[u8])> {
    let (created, rest) = bytes.split_first_chunk::<6>()?;
    let (random, rest) = rest.split_first_chunk()?;
    let created = millis(created);
    let random = *random;
    Some((Family { created, random }, rest))
}

fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family {
        created: 0x0102_0304_0506,
        random: *b"family!!",
    };

    fn parse(encoded: Vec<u8>) -> Result<Content, Malformed> {
        let plaintext = seal::HEADROOM..encoded.len();
        Content::parse(encoded, plaintext)
    }

    #[test]
    fn tombstones_and_pointers_round_trip() {
        for ending in [Ending::LoggedOut, Ending::LoggedIn, Ending::Moved] {
            for next in [None, Some(FAMILY)] {
                let mut replaced = Replaced::default();
                for n in 0..6 {
                    let tombstone = Tombstone::new(ending, 1 << 40, next);
                    let tombstone = tombstone.of(replaced, Serial([9; 8]));
                    let encoded = encode_tombstone(&tombstone);
                    assert_eq!((encoded.len() - seal::HEADROOM) % BLOCK, 0);
                    match parse(encoded) {
                        Ok(Content::Ended(parsed)) => assert_eq!(parsed, tombstone),
                        other => panic!("{other:?}"),
                    }
                    replaced.push(Serial([n; 8]), n.into());
                }
            }
        }
        assert!(matches!(
            parse(encode_pointer(FAMILY)),
            Ok(Content::Moved(FAMILY))
        ));
    }

    #[test]
    fn other_bytes_are_malformed() {
        let start = seal::HEADROOM;
        let tombstone = Tombstone::new(Ending::LoggedOut, 7, None);
        for (at, byte) in [(0, 0), (0, 4), (1, 5), (8, 0), (8, 4), (9, 2), (15, 1)] {
            let mut encoded = encode_tombstone(&tombstone);
            encoded[start + at] = byte;
            assert!(parse(encoded).is_err(), "{at}: {byte}");
        }
        let mut pointer = encode_pointer(FAMILY);
        *pointer.last_mut().expect("it has bytes") = 1;
        assert!(parse(pointer).is_err());
        for len in 0..16 {
            let mut encoded = encode_tombstone(&tombstone);
            encoded.truncate(start + len);
            assert_eq!(parse(encoded).is_ok(), len >= 10, "{len}");
        }
    }
}
