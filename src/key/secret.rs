use std::fmt;

use zeroize::Zeroizing;

use super::weak::{self, MIN_DISTINCT};
use crate::{error::Error, random};

/// A secret that passed its checks. All keys are derived from it.
///
/// A secret is text, and is not decoded. Any text without commas and white space can be one, such
/// as hex or base64. `openssl rand -base64 32` makes a good secret.
///
/// ```
/// use tower_sealed_session::{Secret, SecretError};
///
/// let error = |text: &str| Secret::new(text).unwrap_err();
/// assert_eq!(error("hunter2"), SecretError::TooShort { found: 7 });
/// assert_eq!(error(&"deadbeef".repeat(8)), SecretError::FewDistinct { found: 5 });
/// ```
///
/// # Security
///
/// `Debug` does not show the secret, and its memory is wiped on drop.
pub struct Secret(Zeroizing<Vec<u8>>);

/// The reason why a text is refused as a [`Secret`].
///
/// The messages never contain the text. `Debug` prints the same text as `Display`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// The text is empty, or only white space.
    Empty,
    /// Fewer than [`Secret::MIN_LEN`] bytes.
    TooShort {
        /// The number of bytes, without white space at the ends.
        found: usize,
    },
    /// A comma or white space inside. Such a secret could not be listed as a fallback.
    Separator,
    /// A sample from documentation or a template, or a text made of the words of such samples.
    Placeholder,
    /// Too few different bytes to be random.
    FewDistinct {
        /// The number of different bytes. At least 7 are needed.
        found: usize,
    },
    /// Pieces of the text repeat.
    Repeats,
    /// The text follows the alphabet, the digits or the rows of a keyboard.
    Sequence,
    /// A variable or template that was not expanded, such as `${SESSION_SECRET}` or
    /// `<your secret>`.
    ///
    /// Also the location of a secret, such as `/run/secrets/session`. Use `SESSION_SECRET_FILE` for
    /// that.
    Unexpanded,
}

impl Secret {
    /// The minimum length in bytes. 32 hex digits are 128 bits.
    pub const MIN_LEN: usize = 32;

    /// Checks `text`, and removes white space at its ends.
    ///
    /// # Errors
    ///
    /// Fails if the text is too short, not random, publicly known, or has a separator inside.
    /// The checks find common mistakes. They cannot prove that a secret is random.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let text = text.as_ref().trim_ascii();
        check(text)?;
        Ok(Self(Zeroizing::new(text.to_vec())))
    }

    /// Makes a random secret for development and tests. Its sessions end with the process.
    ///
    /// # Errors
    ///
    /// Fails if the system random source fails.
    pub fn ephemeral() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        random::from_system(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn unchecked(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

fn check(text: &[u8]) -> Result<(), SecretError> {
    if text.is_empty() {
        return Err(SecretError::Empty);
    }
    if weak::is_unexpanded(text) {
        return Err(SecretError::Unexpanded);
    }
    if weak::is_published(text) {
        return Err(SecretError::Placeholder);
    }
    if text.iter().any(|&b| is_separator(b)) {
        return Err(SecretError::Separator);
    }
    if text.len() < Secret::MIN_LEN {
        return Err(SecretError::TooShort { found: text.len() });
    }
    let found = weak::distinct(text);
    if found < MIN_DISTINCT {
        return Err(SecretError::FewDistinct { found });
    }
    if weak::repeats(text) {
        return Err(SecretError::Repeats);
    }
    match weak::is_sequence(text) {
        true => Err(SecretError::Sequence),
        false => Ok(()),
    }
}

/// Whether a byte separates fallbacks in a list.
pub(super) fn is_separator(byte: u8) -> bool {
    byte == b',' || byte.is_ascii_whitespace()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the secret is empty"),
            Self::TooShort { found } => write!(
                f,
                "the secret is too short: {found} bytes found, at least {} needed",
                Secret::MIN_LEN
            ),
            Self::Separator => f.write_str(
                "the secret contains a comma or white space, which separate fallbacks in a list",
            ),
            Self::Placeholder => f.write_str(
                "the secret is a placeholder or a published sample, or consists of their words",
            ),
            Self::FewDistinct { found } => write!(
                f,
                "the secret is not random: {found} different bytes found, at least {MIN_DISTINCT} needed"
            ),
            Self::Repeats => f.write_str("the secret is not random: pieces of it repeat"),
            Self::Sequence => f.write_str(
                "the secret is not random: it follows the alphabet, the digits or the rows of a keyboard",
            ),
            Self::Unexpanded => f.write_str(
                "the secret is a variable that was not expanded, or the location of a secret",
            ),
        }
    }
}

impl fmt::Debug for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use base64::engine::{Engine as _, general_purpose::STANDARD};

    use super::*;

    #[test]
    fn weak_secrets_are_refused_with_the_right_reason() {
        let long = "a".repeat(64);
        let cases = [
            ("", SecretError::Empty),
            ("  \n", SecretError::Empty),
            ("9f86d081884c7d65", SecretError::TooShort { found: 16 }),
            ("change-me", SecretError::Placeholder),
            (
                "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
                SecretError::Placeholder,
            ),
            (
                "your-secret-key-your-secret-key-1234",
                SecretError::Placeholder,
            ),
            (
                "complex_password_at_least_32_characters_long",
                SecretError::Placeholder,
            ),
            (
                "9f86d081884c7d65 9a2feaa0c55ad015a3bf4f1b",
                SecretError::Separator,
            ),
            (
                "9f86d081884c7d65,9a2feaa0c55ad015a3bf4f1b",
                SecretError::Separator,
            ),
            (&long, SecretError::FewDistinct { found: 1 }),
            (&"deadbeef".repeat(8), SecretError::FewDistinct { found: 5 }),
            (&"9f86d0817c2e".repeat(3), SecretError::Repeats),
            ("0123456789012345678901234567890123", SecretError::Repeats),
            ("a1b2-c3d4-a1b2-c3d4-a1b2-c3d4-a1b2", SecretError::Repeats),
            ("abcdefghijklmnopqrstuvwxyz-543210", SecretError::Sequence),
            (
                "${SESSION_SECRET:-set-this-to-something}",
                SecretError::Unexpanded,
            ),
            (
                "<your-32-character-or-longer-value>",
                SecretError::Unexpanded,
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(Secret::new(text).expect_err(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_minimum_is_32_bytes_with_7_different_ones() {
        let text = "aeim2uqaimuq2eamqieu2aqmue2iamqe";
        assert_eq!(text.len(), Secret::MIN_LEN);
        assert!(Secret::new(text).is_ok());
        let refused = |text: &str| Secret::new(text).expect_err("refused");
        assert_eq!(refused(&text[1..]), SecretError::TooShort { found: 31 });
        let six = text.replace('2', "a");
        assert_eq!(refused(&six), SecretError::FewDistinct { found: 6 });
    }

    #[test]
    fn random_hex_and_base64_are_accepted() {
        for _ in 0..2_000 {
            let mut bytes = [0; 32];
            random::from_system(&mut bytes).expect("entropy");
            let base64 = STANDARD.encode(bytes);
            let hex: String = bytes[..16].iter().map(|b| format!("{b:02x}")).collect();
            assert!(Secret::new(&base64).is_ok(), "{base64}");
            assert!(Secret::new(&hex).is_ok(), "{hex}");
        }
    }

    #[test]
    fn white_space_at_the_ends_is_ignored() {
        let bare = Secret::new("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4").expect("good");
        let file = Secret::new(" k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4\r\n").expect("good");
        assert_eq!(bare.bytes(), file.bytes());
    }
}
