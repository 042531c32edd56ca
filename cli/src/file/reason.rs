use std::{error, fmt};

/// An entry that cannot be used. The entries after it can.
///
/// It shows the place in the file, and never a part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEntry {
    /// Counted from 1.
    pub(crate) position: u64,
    /// The place of the first byte of the id, in bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) reason: Reason,
}

/// Why an entry cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Nothing between two commas, or behind the last one.
    Missing,
    /// The entry does not begin with a quote.
    NoId,
    IdLength,
    /// A value that is valid JSON, but no object.
    NotAnObject,
    TooLarge,
    TooDeep,
    Utf8,
    /// `NaN`, `Infinity` or `-Infinity`. Python writes them.
    NotFinite,
    NumberRange,
    Escape,
    /// One half of a UTF-16 pair. Python writes it as `\ud800`.
    Surrogate,
    ControlCharacter,
    UnquotedWord,
    Nesting,
    /// Any other fault of the JSON.
    Syntax,
    FieldName,
    OwnerType,
    OwnerLength,
}

impl Reason {
    /// A name for programs. It does not change.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NoId => "no-id",
            Self::IdLength => "id-length",
            Self::NotAnObject => "not-an-object",
            Self::TooLarge => "too-large",
            Self::TooDeep => "too-deep",
            Self::Utf8 => "invalid-utf8",
            Self::NotFinite => "not-finite",
            Self::NumberRange => "number-range",
            Self::Escape => "invalid-escape",
            Self::Surrogate => "lone-surrogate",
            Self::ControlCharacter => "control-character",
            Self::UnquotedWord => "unquoted-word",
            Self::Nesting => "wrong-nesting",
            Self::Syntax => "invalid-json",
            Self::FieldName => "field-name-length",
            Self::OwnerType => "user-id-type",
            Self::OwnerLength => "user-id-length",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is a comma too many",
            Self::NoId => "it does not begin with an id in double quotes",
            Self::IdLength => "its id is empty or longer than 256 bytes",
            Self::NotAnObject => "its value is not a JSON object",
            Self::TooLarge => "it is too large",
            Self::TooDeep => "it is nested deeper than 126 levels",
            Self::Utf8 => "it is not valid UTF-8",
            Self::NotFinite => "it contains NaN or Infinity, which JSON does not have",
            Self::NumberRange => "it contains a number that is too large for a 64-bit float",
            Self::Escape => "it contains an invalid escape in a string",
            Self::Surrogate => "it contains half of a surrogate pair, which is not a character",
            Self::ControlCharacter => "it contains a control character that is not escaped",
            Self::UnquotedWord => "it contains a word without quotes",
            Self::Nesting => "its brackets do not match",
            Self::Syntax => "it is not valid JSON",
            Self::FieldName => "a field name is empty or longer than 255 bytes",
            Self::OwnerType => "its user_id is not a string, a whole number or null",
            Self::OwnerLength => "its user_id is empty or longer than 255 bytes",
        })
    }
}

impl fmt::Display for BadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            offset,
            reason,
        } = self;
        write!(f, "entry {position} at byte {offset} is bad: {reason}")
    }
}

impl error::Error for BadEntry {}
