//! The bytes of a row with imported entries, before they are sealed.
//!
//! ```text
//! row = 4 ‖ progress u8 (0 waits, 1 claimed, 2 taken) ‖ since u48 ‖ file 8 ‖ position u64
//!       ‖ record ‖ zeros to a multiple of 16
//! ```
//!
//! The record has the owner and the entries. Its other fields are zero.

use std::ops::Range;

use crate::{
    clock::Millis,
    entries::{Entries, Malformed},
    id::{SessionId, millis},
    record::{self, Head, Record, Times},
    seal,
};

/// The first byte of the row.
pub(super) const IMPORTED: u8 = 4;

const HEAD_LEN: usize = 1 + 1 + 6 + SOURCE_LEN;
const SOURCE_LEN: usize = 16;

/// The content of a row.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(super) progress: Progress,
    pub(super) source: Source,
    pub(super) record: Record,
}

/// Where imported entries came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The first bytes of the hash of the file.
    pub(crate) file: [u8; 8],
    /// The number of the session in the file.
    pub(crate) position: u64,
}

/// How far the taking of the entries is, and since when. They wait since their import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waits(Millis),
    Claimed(Millis),
    Taken(Millis),
}

impl Imported {
    pub(super) fn owner(&self) -> &str {
        self.record.owner().expect("`parse` has checked it")
    }

    /// Parses what follows the first byte of a row.
    pub(super) fn parse(bytes: Vec<u8>, rest: Range<usize>) -> Result<Self, Malformed> {
        let (head, _) = bytes[rest.clone()]
            .split_first_chunk::<{ HEAD_LEN - 1 }>()
            .ok_or(Malformed)?;
        let since = millis(head[1..].first_chunk::<6>().ok_or(Malformed)?);
        let progress = match head[0] {
            0 => Progress::Waits(since),
            1 => Progress::Claimed(since),
            2 => Progress::Taken(since),
            _ => return Err(Malformed),
        };
        let source = Source::from_bytes(head[7..].first_chunk().ok_or(Malformed)?);
        let start = rest.start + HEAD_LEN - 1;
        let record = Record::parse(bytes, start..rest.end)?;
        match record.stored || record.owner().is_none() {
            true => Err(Malformed),
            false => Ok(Self {
                progress,
                source,
                record,
            }),
        }
    }
}

/// The row, after [`seal::HEADROOM`] bytes.
pub(super) fn encode(
    progress: Progress,
    source: Source,
    owner: &str,
    entries: Entries<'_>,
) -> Vec<u8> {
    let (progress, since) = match progress {
        Progress::Waits(since) => (0, since),
        Progress::Claimed(since) => (1, since),
        Progress::Taken(since) => (2, since),
    };
    let start = seal::HEADROOM;
    let head = Head {
        id: SessionId::new([0; SessionId::LEN]),
        times: Times {
            created: 0,
            issued: 0,
            lifetime: 0,
            remembered: false,
        },
    };
    let headroom = start + HEAD_LEN;
    let mut out = record::encode(head, Some(owner), entries, headroom, seal::TAG_LEN);
    out[start] = IMPORTED;
    out[start + 1] = progress;
    out[start + 2..start + 8].copy_from_slice(&since.to_be_bytes()[2..]);
    out[start + 8..headroom].copy_from_slice(&source.to_bytes());
    record::pad(&mut out, start);
    out
}

impl Source {
    /// The row of entries that wait since then, after [`seal::HEADROOM`] bytes.
    pub(crate) fn encode_waiting(
        self,
        since: Millis,
        owner: &str,
        entries: Entries<'_>,
    ) -> Vec<u8> {
        encode(Progress::Waits(since), self, owner, entries)
    }

    pub(crate) fn to_bytes(self) -> [u8; SOURCE_LEN] {
        let mut bytes = [0; SOURCE_LEN];
        bytes[..8].copy_from_slice(&self.file);
        bytes[8..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; SOURCE_LEN]) -> Self {
        let (file, position) = bytes.split_at(8);
        Self {
            file: *file.first_chunk().expect("half of 16"),
            position: u64::from_be_bytes(*position.first_chunk().expect("half of 16")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::content::Content, *};

    const SOURCE: Source = Source {
        file: *b"the file",
        position: 0x0102_0304_0506_0708,
    };
    const ENTRIES: &[u8] = b"\x01a\x011\x02ab\x013";

    fn parse(encoded: Vec<u8>) -> Result<Content, Malformed> {
        let plaintext = seal::HEADROOM..encoded.len();
        Content::parse(encoded, plaintext)
    }

    #[test]
    fn imported_rows_round_trip() {
        for progress in [
            Progress::Waits(9),
            Progress::Claimed(1 << 40),
            Progress::Taken(7),
        ] {
            let encoded = encode(progress, SOURCE, "ada", Entries::trusted(ENTRIES));
            let Ok(Content::Imported(row)) = parse(encoded) else {
                panic!("{progress:?}");
            };
            assert_eq!((row.progress, row.source), (progress, SOURCE));
            assert_eq!(row.record.owner(), Some("ada"));
            assert_eq!(row.record.entries().as_bytes(), ENTRIES);
        }
    }

    #[test]
    fn other_bytes_are_malformed() {
        let encoded = encode(Progress::Waits(7), SOURCE, "ada", Entries::trusted(ENTRIES));
        let mut other = encoded.clone();
        other[seal::HEADROOM + 1] = 3;
        assert!(parse(other).is_err());
        for len in 0..seal::HEADROOM + HEAD_LEN + 31 {
            let cut = encoded[..len.max(seal::HEADROOM)].to_vec();
            assert!(parse(cut).is_err(), "{len}");
        }
    }
}
