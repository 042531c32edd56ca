//! Recognises a file of sessions by its content.
//!
//! The reader is tolerant: it accepts a byte order mark, UTF-16, `NaN`, the text that Python's
//! `print` makes of a `dict`, and a file that ends too early. It never keeps any text.

use std::borrow::Cow;

/// The number of sessions if the text is a file of sessions.
///
/// That is an object of objects. Either one of them has `env_vars`, or most have `user_id`.
pub(super) fn sessions(content: &[u8]) -> Option<u64> {
    let text = decoded(content);
    let mut reader = Reader { rest: &text };
    let mut counts = Counts::default();
    reader.object(|reader, _| {
        counts.entries += 1;
        let mut is_session = false;
        // Each key counts at once, since the text may end in the middle of the entry.
        reader.object(|reader, key| {
            counts.env_vars += u64::from(key == b"env_vars");
            if !is_session && (key == b"env_vars" || key == b"user_id") {
                is_session = true;
                counts.sessions += 1;
            }
            reader.skip_value()
        })
    });
    let found = counts.env_vars > 0 || counts.sessions * 2 > counts.entries;
    (found && counts.sessions > 0).then_some(counts.sessions)
}

/// Whether a file that starts like this can be a file of sessions.
pub(super) fn may_be_sessions(start: &[u8]) -> bool {
    let mut reader = Reader {
        rest: &decoded(start),
    };
    reader.skip_spaces();
    reader.rest.is_empty() || reader.rest[0] == b'{'
}

/// The text without its byte order mark, and UTF-16 as UTF-8.
pub(super) fn decoded(content: &[u8]) -> Cow<'_, [u8]> {
    let units: fn([u8; 2]) -> u16 = match content {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [0xef, 0xbb, 0xbf, rest @ ..] => return Cow::Borrowed(rest),
        _ => return Cow::Borrowed(content),
    };
    let pairs = content[2..].chunks_exact(2);
    let units = pairs.map(|pair| units([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units)
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}

#[derive(Default)]
struct Counts {
    entries: u64,
    sessions: u64,
    env_vars: u64,
}

/// Each method returns `None` at the end of the text, and where the text is not JSON.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Calls `member` after each key. It has to read the value.
    ///
    /// Another value than an object is skipped.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        if self.peek()? != b'{' {
            return self.skip_value();
        }
        self.advance(1);
        loop {
            match self.peek()? {
                b'}' => {
                    self.advance(1);
                    return Some(());
                }
                b',' => self.advance(1),
                _ => {
                    let key = self.string()?;
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.advance(1);
                    member(self, key)?;
                }
            }
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_u64;
        loop {
            match self.peek()? {
                b'"' | b'\'' => {
                    self.string()?;
                }
                b'{' | b'[' | b'(' => {
                    depth += 1;
                    self.advance(1);
                }
                b'}' | b']' | b')' if depth > 0 => {
                    depth -= 1;
                    self.advance(1);
                }
                b',' | b':' if depth > 0 => self.advance(1),
                b'}' | b']' | b')' | b',' | b':' => return None,
                _ => self.scalar(),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// A number or a word such as `NaN`.
    fn scalar(&mut self) {
        let is_end = |byte: &u8| b",:{}[]()\"'".contains(byte) || byte.is_ascii_whitespace();
        let length = self.rest.iter().position(is_end);
        self.advance(length.unwrap_or(self.rest.len()));
    }

    /// The text between the quotes, with its escapes as they are.
    fn string(&mut self) -> Option<&'a [u8]> {
        let quote = self.peek()?;
        if quote != b'"' && quote != b'\'' {
            return None;
        }
        self.advance(1);
        let text = self.rest;
        let mut length = 0;
        loop {
            length += memchr::memchr2(quote, b'\\', &text[length..])?;
            if text[length] == quote {
                self.advance(length + 1);
                return Some(&text[..length]);
            }
            length += 2;
            text.get(length)?;
        }
    }

    /// The next byte that is not a space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_spaces();
        self.rest.first().copied()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn advance(&mut self, count: usize) {
        self.rest = &self.rest[count..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
  "k1": {"env_vars": {"A": "x\"}{", "N": NaN, "I": -Infinity}, "user_id": "u1"},
  "k2": {"user_id": null, "env_vars": {}},
  "k3": {"env_vars": {"L": [1, [2, {"a": 3}]]}}
}"#;

    #[test]
    fn a_file_of_sessions_is_recognised() {
        assert_eq!(sessions(FILE.as_bytes()), Some(3));
        let dense = FILE.replace([' ', '\n'], "");
        assert_eq!(sessions(dense.as_bytes()), Some(3));
        assert_eq!(sessions(br#"{"k": {"user_id": 5}}"#), Some(1));
        assert_eq!(sessions(b"{'k': {'user_id': None, 't': (1, 2)}}"), Some(1));
    }

    #[test]
    fn byte_order_marks_and_utf_16_are_accepted() {
        let marked = format!("\u{feff}\n{FILE}");
        assert_eq!(sessions(marked.as_bytes()), Some(3));
        let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(sessions(&little), Some(3));
        let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(sessions(&big), Some(3));
        assert!(may_be_sessions(&little) && may_be_sessions(&big));
    }

    #[test]
    fn a_truncated_file_is_recognised_from_its_first_known_key_on() {
        let first_key = FILE.find("{\"A\"").expect("present");
        for length in 0..FILE.len() {
            let found = sessions(&FILE.as_bytes()[..length]);
            assert_eq!(found.is_some(), length >= first_key - 1, "{length}");
        }
    }

    #[test]
    fn broken_entries_do_not_hide_the_others() {
        let text = r#"{"a": null, "b": 1, "c": [], "k": {"env_vars": {}}, "l": {"user_id": 1}}"#;
        assert_eq!(sessions(text.as_bytes()), Some(2));
        let mixed = r#"{"a": {"user_id": 1}, "b": {"user_id": 2}, "c": {}}"#;
        assert_eq!(sessions(mixed.as_bytes()), Some(2));
    }

    #[test]
    fn other_content_is_not_recognised() {
        for text in [
            "",
            "{}",
            "[]",
            "{",
            "null",
            r#"{"env_vars": {"A": "b"}, "user_id": "u"}"#,
            r#"{"a": {"b": {"user_id": 1}}}"#,
            r#"{"meta": {"page": 1}, "data": {"user_id": 1}}"#,
            r#"[{"user_id": 1}]"#,
            "fn main() { let user_id = 1; }",
            "{\"k\" {\"user_id\": 1}}",
            "{\"k\": \"\\",
        ] {
            assert_eq!(sessions(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let deep = format!("{{\"k\": {}", "[".repeat(1_000_000));
        assert_eq!(sessions(deep.as_bytes()), None);
        let deep = format!("{{\"k\": {{\"user_id\": {}", "{\"a\":".repeat(1_000_000));
        assert_eq!(sessions(deep.as_bytes()), Some(1));
    }
}
