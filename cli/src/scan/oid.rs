//! Object ids of git.

use std::fmt;

/// How many hex digits a report shows.
const SHORT: usize = 12;

/// The id of a git object: 20 bytes (SHA-1) or 32 bytes (SHA-256).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Oid {
    length: u8,
    bytes: [u8; 32],
}

impl Oid {
    pub(super) fn from_bytes(raw: &[u8]) -> Option<Self> {
        let length = match raw.len() {
            20 => 20,
            32 => 32,
            _ => return None,
        };
        let mut bytes = [0; 32];
        bytes[..raw.len()].copy_from_slice(raw);
        Some(Self { length, bytes })
    }

    pub(super) fn from_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() > 64 || !hex.len().is_multiple_of(2) {
            return None;
        }
        let mut raw = [0; 32];
        for (byte, pair) in raw.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Self::from_bytes(&raw[..hex.len() / 2])
    }

    /// The number of bytes of an id.
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The first digits. The number of digits is fixed, so that it does not grow with the
    /// repository.
    pub(super) fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(SHORT);
        hex
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..self.length()]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_formats_are_read_and_shown() {
        for hex in ["0123456789abcdef0123456789abcdef01234567", &"f0".repeat(32)] {
            let oid = Oid::from_hex(hex.as_bytes()).expect("an id");
            assert_eq!(oid.to_string(), hex);
            assert_eq!(oid.short(), hex[..12]);
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "0", "01", "zz23456789abcdef0123456789abcdef01234567"] {
            assert_eq!(Oid::from_hex(text.as_bytes()), None);
        }
        assert_eq!(Oid::from_hex("f0".repeat(33).as_bytes()), None);
    }
}
