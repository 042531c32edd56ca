use std::io::Write as _;

use redis::{RedisWrite, ToRedisArgs};
use time::OffsetDateTime;

use super::{
    super::{
        contract::{OwnerTag, Row, StoreKey, Stored, Version},
        error::{StoreError, StoreErrorKind},
    },
    fault::FOREIGN,
};
use crate::clock::{self, Millis};

/// The length of a value's head: version (8) ‖ hour (4) ‖ end in milliseconds (8) ‖ owner, or
/// zeros (16).
///
/// Numbers are big-endian. The bytes of the session follow. The hour is [`End::hour`]: until then,
/// the session is in the index of its owner.
pub(super) const HEAD: usize = 36;

/// The bytes of the owner in the head, as `GETRANGE` counts them.
pub(super) const OWNER: [usize; 2] = [20, HEAD - 1];

const HOUR: Millis = 3_600_000;

/// How long an index keeps ended sessions. The clocks of two instances must differ by less.
const SLACK: Millis = 60_000;

/// Without an owner.
const NO_OWNER: [u8; 16] = [0; 16];

/// The value of a row, to be sent.
pub(super) struct Value<'a> {
    head: [u8; HEAD],
    bytes: &'a [u8],
}

pub(super) fn encode<'a>(row: &Row<'a>, end: End) -> Value<'a> {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&row.version.get().to_be_bytes());
    head[8..20].copy_from_slice(&end.bytes());
    head[20..].copy_from_slice(&row.owner.map_or(NO_OWNER, |owner| *owner.as_bytes()));
    let bytes = row.bytes;
    Value { head, bytes }
}

impl ToRedisArgs for Value<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.reserve_space_for_args([HEAD + self.bytes.len()]);
        let mut arg = out.writer_for_next_arg();
        let written = arg.write_all(&self.head);
        let written = written.and_then(|()| arg.write_all(self.bytes));
        written.expect("memory does not fail");
    }
}

pub(super) fn decode(mut value: Vec<u8>) -> Result<Stored, StoreError> {
    let head = value.first_chunk().ok_or_else(foreign)?;
    let (version, expires, owner) = split(head);
    value.drain(..HEAD);
    Ok(Stored {
        version,
        bytes: value,
        expires: clock::moment(expires),
        owner,
    })
}

/// The version and the owner of a row of which only the head was read. `None`: there is no row.
pub(super) fn decode_head(head: &[u8]) -> Result<Option<(Version, Option<OwnerTag>)>, StoreError> {
    if head.is_empty() {
        return Ok(None);
    }
    let (version, _, owner) = split(head.first_chunk().ok_or_else(foreign)?);
    Ok(Some((version, owner)))
}

/// The tag of an owner, unless it is that of a row without an owner.
pub(super) fn owner(tag: [u8; 16]) -> Option<OwnerTag> {
    (tag != NO_OWNER).then_some(OwnerTag::new(tag))
}

fn split(head: &[u8; HEAD]) -> (Version, Millis, Option<OwnerTag>) {
    let number = |at| u64::from_be_bytes(*head[at..].first_chunk().expect("within the head"));
    let tag = head.last_chunk().expect("within the head");
    (Version::new(number(0)), number(12), owner(*tag))
}

fn foreign() -> StoreError {
    StoreError::new(StoreErrorKind::Other).message(FOREIGN)
}

/// When a session ends, in milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct End {
    at: Millis,
    /// Moves the hours of a session, so that those of all sessions do not begin at the same time.
    shift: Millis,
}

impl End {
    pub(super) fn new(key: StoreKey, expires: OffsetDateTime) -> Self {
        let start = key.as_bytes().first_chunk().expect("it is longer");
        Self {
            at: millis(expires),
            shift: Millis::from(u32::from_be_bytes(*start)) % HOUR,
        }
    }

    /// The hour and the end, as in a head.
    pub(super) fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.hour().to_be_bytes());
        bytes[4..].copy_from_slice(&self.at.to_be_bytes());
        bytes
    }

    /// The number of hours after which the session has ended. While it stays the same, the index of
    /// the owner does not change.
    pub(super) fn hour(self) -> u32 {
        let hours = self.at.saturating_add(self.shift).div_ceil(HOUR);
        u32::try_from(hours).unwrap_or(u32::MAX)
    }

    /// The end of that hour, which is not before the end of the session.
    pub(super) fn score(self) -> Millis {
        (Millis::from(self.hour()) * HOUR).saturating_sub(self.shift)
    }

    /// The time to live. It is at least 1 ms, because Redis rejects 0.
    pub(super) fn ttl(self) -> u64 {
        left(self.at)
    }

    /// The time to live of an index with this session.
    pub(super) fn index_ttl(self) -> u64 {
        left(self.score().saturating_add(SLACK))
    }
}

/// The start of a head.
pub(super) struct Start {
    bytes: [u8; 12],
    len: usize,
}

impl AsRef<[u8]> for Start {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The start of the head of a row with that version, and with that hour if the row must have it.
pub(super) fn start(version: Version, hour: Option<u32>) -> Start {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&version.get().to_be_bytes());
    bytes[8..].copy_from_slice(&hour.unwrap_or(0).to_be_bytes());
    let len = if hour.is_some() { 12 } else { 8 };
    Start { bytes, len }
}

/// An index drops sessions that ended before this time.
pub(super) fn past() -> u64 {
    now().saturating_sub(SLACK)
}

fn left(until: Millis) -> Millis {
    until.saturating_sub(now()).max(1)
}

fn now() -> Millis {
    millis(OffsetDateTime::now_utc())
}

fn millis(moment: OffsetDateTime) -> Millis {
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

pub(super) fn hex(bytes: &[u8; 16]) -> String {
    named(&[], bytes)
}

/// The name of a key: some text and the digits of these bytes.
pub(super) fn named(text: &[&str], bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let len = text.iter().map(|part| part.len()).sum::<usize>();
    let mut name = String::with_capacity(len + 2 * bytes.len());
    name.extend(text.iter().copied());
    for byte in bytes {
        name.push(char::from(DIGITS[usize::from(byte >> 4)]));
        name.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    name
}

pub(super) fn unhex(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok()?;
    is_hex.then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: StoreKey = StoreKey::new([0xab; 16]);

    #[test]
    fn rows_round_trip_to_the_millisecond() {
        let expires = clock::moment(1_893_456_000_123);
        for owner in [None, Some(OwnerTag::new([9; 16]))] {
            let row = Row::new(Version::new((1 << 53) - 1), b"sealed", expires, owner);
            let value = encode(&row, End::new(KEY, expires))
                .to_redis_args()
                .remove(0);
            let head = decode_head(&value[..HEAD]).expect("a head");
            assert_eq!(head, Some((row.version, owner)));
            assert_eq!(
                value[OWNER[0]..=OWNER[1]],
                owner.map_or(NO_OWNER, |tag| *tag.as_bytes())
            );
            assert_eq!(decode(value).expect("a row"), Stored::from(&row));
        }
    }

    #[test]
    fn foreign_values_are_errors() {
        let error = decode(b"hello".to_vec()).expect_err("too short");
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("prefix"));
        assert!(decode_head(b"hello").is_err());
        assert_eq!(decode_head(b"").expect("no row"), None);
    }

    #[test]
    fn ended_sessions_have_a_ttl_of_one_millisecond() {
        assert_eq!(End::new(KEY, OffsetDateTime::UNIX_EPOCH).ttl(), 1);
    }

    #[test]
    fn sessions_are_in_the_index_until_they_end_and_at_most_an_hour_longer() {
        let mut hours = std::collections::BTreeSet::new();
        for first in 0..=255 {
            let key = StoreKey::new([first; 16]);
            for minute in 0..180 {
                let at = 1_893_456_000_000 + minute * 60_000 + u64::from(first);
                let end = End::new(key, clock::moment(at));
                assert!((at..at + HOUR).contains(&end.score()), "{first} {minute}");
                hours.insert(end.score() % HOUR);
            }
        }
        assert!(hours.len() > 200, "{}", hours.len());
    }

    #[test]
    fn keys_are_hex() {
        let bytes = std::array::from_fn(|i| (i * 17) as u8);
        assert_eq!(hex(&bytes), "00112233445566778899aabbccddeeff");
    }
}
