use time::OffsetDateTime;

use super::{
    super::{
        contract::{OwnerTag, Row, Stored, Version},
        error::{StoreError, StoreErrorKind},
    },
    fault::FOREIGN,
};
use crate::clock::{self, Millis};

/// The length of a value's head: version (8) ‖ end in milliseconds (8) ‖ owner, or zeros (16).
///
/// Numbers are big-endian. The bytes of the session follow.
const HEAD: usize = 32;

/// How long an index keeps ended sessions. The clocks of two instances must differ by less.
const SLACK: Millis = 60_000;

/// Without an owner.
const NO_OWNER: [u8; 16] = [0; 16];

pub(super) fn encode(row: &Row<'_>, end: End) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + row.bytes.len());
    value.extend_from_slice(&row.version.get().to_be_bytes());
    value.extend_from_slice(&end.bytes());
    value.extend_from_slice(&row.owner.map_or(NO_OWNER, |owner| *owner.as_bytes()));
    value.extend_from_slice(row.bytes);
    value
}

pub(super) fn decode(mut value: Vec<u8>) -> Result<Stored, StoreError> {
    let (Some(version), Some(expires), Some(&owner)) = (
        number(&value, 0),
        number(&value, 8),
        value.get(16..).and_then(|rest| rest.first_chunk()),
    ) else {
        return Err(StoreError::new(StoreErrorKind::Other).message(FOREIGN));
    };
    value.drain(..HEAD);
    Ok(Stored {
        version: Version::new(version),
        bytes: value,
        expires: clock::moment(expires),
        owner: (owner != NO_OWNER).then_some(OwnerTag::new(owner)),
    })
}

fn number(value: &[u8], at: usize) -> Option<u64> {
    let bytes = value.get(at..at + 8)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// When a session ends, in milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct End(Millis);

impl End {
    pub(super) fn new(expires: OffsetDateTime) -> Self {
        Self(millis(expires))
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(super) fn score(self) -> u64 {
        self.0
    }

    /// The time to live. It is at least 1 ms, because Redis rejects 0.
    pub(super) fn ttl(self) -> u64 {
        self.0.saturating_sub(now()).max(1)
    }
}

/// An index drops sessions that ended before this time.
pub(super) fn past() -> u64 {
    now().saturating_sub(SLACK)
}

fn now() -> Millis {
    millis(OffsetDateTime::now_utc())
}

fn millis(moment: OffsetDateTime) -> Millis {
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

pub(super) fn hex(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

pub(super) fn unhex(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok()?;
    is_hex.then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_to_the_millisecond() {
        let expires = clock::moment(1_893_456_000_123);
        for owner in [None, Some(OwnerTag::new([9; 16]))] {
            let row = Row::new(Version::new((1 << 53) - 1), b"sealed", expires, owner);
            let stored = decode(encode(&row, End::new(expires))).expect("a row");
            assert_eq!(stored, Stored::from(&row));
        }
    }

    #[test]
    fn foreign_values_are_errors() {
        let error = decode(b"hello".to_vec()).expect_err("too short");
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("prefix"));
    }

    #[test]
    fn ended_sessions_have_a_ttl_of_one_millisecond() {
        assert_eq!(End::new(OffsetDateTime::UNIX_EPOCH).ttl(), 1);
    }

    #[test]
    fn keys_are_hex() {
        let bytes = std::array::from_fn(|i| (i * 17) as u8);
        assert_eq!(hex(&bytes), "00112233445566778899aabbccddeeff");
    }
}
