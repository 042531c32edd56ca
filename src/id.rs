//! Session ids. An id is a family, which names a login, and a serial, which `renew` replaces.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::clock::Millis;

/// The id of a session: 16 random bytes from the operating system.
///
/// The first 8 bytes are the session's family. They stay the same from its login to its end. The
/// other 8 bytes are its serial, which [`renew`](crate::Session::renew) replaces.
/// [`login`](crate::Session::login) draws both. A session that moves from its cookie to a store
/// gets another family.
///
/// If a session was read from a legacy cookie and has an owner, its id is a hash of that cookie.
///
/// An id gives no access by itself. `Debug` shows the same as events do: the first 4 bytes of its
/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; SessionId::LEN]);

/// The second half of an id.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Serial(pub(crate) [u8; Serial::LEN]);

/// The name of all ids that a session has from its login to its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    pub(crate) created: Millis,
    /// The first half of the ids.
    pub(crate) random: [u8; Family::LEN],
}

impl Serial {
    pub(crate) const LEN: usize = 8;
}

impl Family {
    pub(crate) const LEN: usize = 8;
}

const _: () = assert!(Family::LEN + Serial::LEN == SessionId::LEN);

impl SessionId {
    pub(crate) const LEN: usize = 16;

    pub(crate) fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// An id that names a family in events, if the serial is not known.
    pub(crate) fn of(family: Family) -> Self {
        Self([0; Self::LEN]).with_family(family.random)
    }

    /// The first half.
    pub(crate) fn family(self) -> [u8; Family::LEN] {
        *self.0.first_chunk().expect("an id is longer")
    }

    pub(crate) fn serial(self) -> Serial {
        Serial(*self.0.last_chunk().expect("an id is longer"))
    }

    pub(crate) fn with_family(mut self, family: [u8; Family::LEN]) -> Self {
        self.0[..Family::LEN].copy_from_slice(&family);
        self
    }

    pub(crate) fn with_serial(mut self, serial: Serial) -> Self {
        self.0[Family::LEN..].copy_from_slice(&serial.0);
        self
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = Sha256::digest(self.0);
        hash[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serial(..)")
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Family(..)")
    }
}

/// The serials of a family that were replaced last, each with the time. The oldest comes first.
///
/// ```text
/// count u8 (0..=4) ‖ (serial 8 ‖ replaced u48 ms since 1970)*
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    len: usize,
    serials: [(Serial, Millis); Replaced::MOST],
}

impl Replaced {
    const MOST: usize = 4;
    const ITEM_LEN: usize = Serial::LEN + 6;
    /// The length of the longest list in bytes.
    pub(crate) const MAX_LEN: usize = 1 + Self::MOST * Self::ITEM_LEN;

    /// Adds a serial that was replaced at `at`. The oldest one makes room for it.
    pub(crate) fn push(&mut self, serial: Serial, at: Millis) {
        if self.len == Self::MOST {
            self.serials.rotate_left(1);
            self.len -= 1;
        }
        self.serials[self.len] = (serial, at);
        self.len += 1;
    }

    /// When that serial was replaced.
    pub(crate) fn when(&self, serial: Serial) -> Option<Millis> {
        let found = self.iter().find(|(listed, _)| *listed == serial);
        found.map(|(_, at)| at)
    }

    fn iter(&self) -> impl Iterator<Item = (Serial, Millis)> {
        self.serials[..self.len].iter().copied()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.len as u8);
        for (serial, at) in self.iter() {
            out.extend_from_slice(&serial.0);
            out.extend_from_slice(&at.to_be_bytes()[2..]);
        }
    }

    /// Splits a list off `bytes`. Returns also the rest.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&count, mut rest) = bytes.split_first()?;
        let mut replaced = Self::default();
        if usize::from(count) > Self::MOST {
            return None;
        }
        for _ in 0..count {
            let (item, after) = rest.split_first_chunk::<{ Self::ITEM_LEN }>()?;
            let (serial, at) = item.split_first_chunk()?;
            replaced.push(Serial(*serial), millis(at));
            rest = after;
        }
        Some((replaced, rest))
    }
}

/// A number of up to 8 bytes, big-endian.
pub(crate) fn millis(bytes: &[u8]) -> Millis {
    let digits = bytes.iter();
    digits.fold(0, |number, &byte| number << 8 | Millis::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_family_and_a_serial() {
        let id = SessionId::new(std::array::from_fn(|n| n as u8));
        assert_eq!(id.family(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(id.serial().0, [8, 9, 10, 11, 12, 13, 14, 15]);
        let other = SessionId::new([9; 16]);
        let renewed = other.with_family(id.family());
        assert_eq!(
            (renewed.family(), renewed.serial()),
            (id.family(), other.serial())
        );
        assert_eq!(renewed.with_serial(id.serial()), id);
    }

    #[test]
    fn the_last_four_replaced_serials_are_kept() {
        let serial = |n: u8| Serial([n; 8]);
        let mut replaced = Replaced::default();
        for n in 0..6 {
            replaced.push(serial(n), n.into());
        }
        let kept: Vec<_> = replaced.iter().map(|(_, at)| at).collect();
        assert_eq!(kept, [2, 3, 4, 5]);
        assert_eq!(replaced.when(serial(1)), None);
        assert_eq!(replaced.when(serial(2)), Some(2));
    }

    #[test]
    fn replaced_serials_round_trip() {
        let mut replaced = Replaced::default();
        for n in 0..5 {
            let mut bytes = Vec::new();
            replaced.encode(&mut bytes);
            assert!(bytes.len() <= Replaced::MAX_LEN);
            bytes.extend_from_slice(b"rest");
            assert_eq!(Replaced::parse(&bytes), Some((replaced, &b"rest"[..])));
            replaced.push(Serial([n; 8]), (1 << 48) - 1);
        }
        assert_eq!(Replaced::parse(b""), None);
        assert_eq!(Replaced::parse(&[5; 100]), None, "too many");
        assert_eq!(Replaced::parse(&[1; 14]), None, "too short");
    }
}
