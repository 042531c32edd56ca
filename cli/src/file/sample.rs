//! Sessions files for tests, with all that a real file can contain.

use std::io::{self, Read, Write};

use super::reason::Reason;

/// The contents of a file that [`write`] made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Good and bad entries.
    pub(crate) entries: u64,
    /// Entries that can be imported, without duplicates.
    pub(crate) ids: u64,
    /// Good entries whose id occurs in an earlier one.
    pub(crate) duplicates: u64,
    /// Good entries with an owner.
    pub(crate) owned: u64,
    /// The position of each bad entry, and its reason.
    pub(crate) bad: Vec<(u64, Reason)>,
}

/// Writes a file of `count` entries. Every 5th is bad, and every 7th has the id of the first.
pub(crate) fn write(mut out: impl Write, count: u64) -> io::Result<Expected> {
    let mut expected = Expected {
        entries: count,
        ..Expected::default()
    };
    let mut kinds = bad().into_iter().cycle();
    out.write_all(b"{")?;
    for position in 1..=count {
        if position > 1 {
            out.write_all(if position % 2 == 0 { b", " } else { b",\n  " })?;
        }
        if position % 5 == 0 {
            let (text, reason) = kinds.next().expect("there is one");
            out.write_all(&text)?;
            expected.bad.push((position, reason));
            continue;
        }
        match position > 1 && position % 7 == 0 {
            true => expected.duplicates += 1,
            false => expected.ids += 1,
        }
        expected.owned += u64::from(position % 6 < 3);
        out.write_all(good(position).as_bytes())?;
    }
    out.write_all(b"}\n")?;
    Ok(expected)
}

/// The text of a good entry.
pub(crate) fn good(position: u64) -> String {
    let id = match position % 7 {
        0 => 1,
        _ => position,
    };
    let owner = match position % 6 {
        0 => r#", "user_id": "Zoë""#,
        1 => r#", "user_id": 17"#,
        2 => r#", "user_id": -123456789012345678901234567890"#,
        3 => r#", "user_id": null"#,
        _ => "",
    };
    let value = match position % 5 {
        0 => r#""👩‍👩‍👧 שלום e\u0301 \ud83d\ude00""#,
        1 => r#""a \"quoted\" } { ] [ , : text\\""#,
        2 => "[1e308, -0.0, 1.10, [], {}, true, false, null]",
        3 => r#"{"PATH": "/usr/bin:/bin", "": {"deep": [[[[{}]]]]}}"#,
        _ => r#""""#,
    };
    format!(r#""session-\u00e9-{id}" : {{"env_vars": {{"A": {value}}}, "theme":{value}{owner}}}"#)
}

/// One bad entry of each kind.
pub(crate) fn bad() -> Vec<(Vec<u8>, Reason)> {
    let mut all: Vec<_> = SHORT
        .iter()
        .map(|&(text, reason)| (text.to_vec(), reason))
        .collect();
    let long = |count| "x".repeat(count);
    all.extend(
        [
            (format!(r#""{}": {{}}"#, long(257)), Reason::IdLength),
            (format!(r#""k": {{"{}": 1}}"#, long(256)), Reason::FieldName),
            (
                owned_by(&format!(r#""{}""#, long(256))),
                Reason::OwnerLength,
            ),
            (owned_by(&"9".repeat(256)), Reason::OwnerLength),
            (nested(127), Reason::TooDeep),
            (nested(5000), Reason::TooDeep),
            (
                owned_by(&format!(r#""{}""#, long(1024 * 1024))),
                Reason::TooLarge,
            ),
        ]
        .map(|(text, reason)| (text.into_bytes(), reason)),
    );
    all
}

/// An entry with `levels` levels of brackets.
pub(crate) fn nested(levels: usize) -> String {
    let levels = levels - 1;
    format!(
        r#""k": {{"a": {}{}}}"#,
        "[".repeat(levels),
        "]".repeat(levels)
    )
}

fn owned_by(value: &str) -> String {
    format!(r#""k": {{"user_id": {value}}}"#)
}

const SHORT: &[(&[u8], Reason)] = &[
    (b"", Reason::Missing),
    (b"k: {}", Reason::NoId),
    (b"17: {}", Reason::NoId),
    (b"null: {}", Reason::NoId),
    (b"'k': {}", Reason::NoId),
    (b"{}", Reason::NoId),
    (br#""": {}"#, Reason::IdLength),
    (br#""\ud800": {}"#, Reason::Surrogate),
    (br#""\k": {}"#, Reason::Escape),
    (br#""k""#, Reason::Syntax),
    (br#""k" {}"#, Reason::Syntax),
    (br#""k": "#, Reason::Syntax),
    (br#""k": {} {}"#, Reason::Syntax),
    (br#""k": {} "l": {}"#, Reason::Syntax),
    (br#""k": null"#, Reason::NotAnObject),
    (br#""k": []"#, Reason::NotAnObject),
    (br#""k": [{}, {"user_id": 1}]"#, Reason::NotAnObject),
    (br#""k": "{}""#, Reason::NotAnObject),
    (br#""k": 17"#, Reason::NotAnObject),
    (br#""k": NaN"#, Reason::NotFinite),
    (br#""k": {"a": NaN}"#, Reason::NotFinite),
    (br#""k": {"a": [Infinity]}"#, Reason::NotFinite),
    (br#""k": {"a": {"b": -Infinity}}"#, Reason::NotFinite),
    (br#""k": {"user_id": NaN}"#, Reason::NotFinite),
    (br#""k": {"a": 1e999}"#, Reason::NumberRange),
    (br#""k": {"a": "\x41"}"#, Reason::Escape),
    (br#""k": {"a": "\u12"}"#, Reason::Escape),
    (br#""k": {"a": "\ud83d"}"#, Reason::Surrogate),
    (br#""k": {"a": "\udc00"}"#, Reason::Surrogate),
    (br#""k": {"\ud83d\ud83d": 1}"#, Reason::Surrogate),
    (b"\"k\": {\"a\": \"\xff\"}", Reason::Utf8),
    (b"\"k\": {\"a\": \"\xed\xa0\x80\"}", Reason::Utf8),
    (b"\"\xc3\": {}", Reason::Utf8),
    (b"\"k\": {\"a\": \"\n\"}", Reason::ControlCharacter),
    (br#""k": {"a": undefined}"#, Reason::UnquotedWord),
    (br#""k": {"a": None}"#, Reason::UnquotedWord),
    (br#""k": {a: 1}"#, Reason::UnquotedWord),
    (br#""k": {"a": [1, 2}}"#, Reason::Nesting),
    (br#""k": {"a": {"b": 1]}"#, Reason::Nesting),
    (br#""k": {"a": 1,}"#, Reason::Syntax),
    (br#""k": {"a" 1}"#, Reason::Syntax),
    (br#""k": {"a": 01}"#, Reason::Syntax),
    (br#""k": {"a": 'b'}"#, Reason::Syntax),
    (br#""k": {"": 1}"#, Reason::FieldName),
    (br#""k": {"user_id": true}"#, Reason::OwnerType),
    (br#""k": {"user_id": 1.0}"#, Reason::OwnerType),
    (br#""k": {"user_id": 1e3}"#, Reason::OwnerType),
    (br#""k": {"user_id": []}"#, Reason::OwnerType),
    (br#""k": {"user_id": {}}"#, Reason::OwnerType),
    (br#""k": {"user_id": ""}"#, Reason::OwnerLength),
];

/// A file of any size that is made while it is read: the pieces that `next` returns, in a row.
pub(crate) struct Generated<F> {
    next: F,
    piece: Vec<u8>,
    at: usize,
}

impl<F: FnMut() -> Option<Vec<u8>>> Generated<F> {
    pub(crate) fn new(next: F) -> Self {
        Self {
            next,
            piece: Vec::new(),
            at: 0,
        }
    }
}

impl<F: FnMut() -> Option<Vec<u8>>> Read for Generated<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(piece) = (self.next)() else {
                return Ok(0);
            };
            (self.piece, self.at) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}
