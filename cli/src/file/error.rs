use std::{error, fmt, io};

/// Why a file cannot be read, or no further.
///
/// Places are in bytes from the start of the file. The messages never contain a part of the file,
/// and `Debug` prints the same text as `Display`.
pub(crate) enum FileError {
    Read {
        offset: u64,
        source: io::Error,
    },
    /// No bytes, or only white space.
    Empty,
    /// UTF-16 or UTF-32.
    Utf16,
    NotAnObject {
        /// The byte that should be `{`.
        offset: u64,
    },
    /// The file ends before the entry does.
    ///
    /// Either the end is missing, or a quote or bracket is, so that the end of the entry is
    /// unknown.
    Truncated {
        position: u64,
        /// The first byte of the entry.
        offset: u64,
        /// The length of the file.
        end: u64,
    },
    TextAfter {
        offset: u64,
    },
}

impl FileError {
    #[cfg(test)]
    /// The place of the fault. For a file that ends in an entry, the first byte of the entry.
    pub(crate) fn offset(&self) -> u64 {
        match *self {
            Self::Empty | Self::Utf16 => 0,
            Self::Read { offset, .. }
            | Self::NotAnObject { offset }
            | Self::Truncated { offset, .. }
            | Self::TextAfter { offset } => offset,
        }
    }

    #[cfg(test)]
    /// A name that tests compare.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read-failed",
            Self::Empty => "empty",
            Self::Utf16 => "utf16",
            Self::NotAnObject { .. } => "not-an-object",
            Self::Truncated { .. } => "truncated",
            Self::TextAfter { .. } => "text-after",
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { offset, .. } => write!(
                f,
                "the file cannot be read at byte {offset}: check the disk and the file, and try again"
            ),
            Self::Empty => f.write_str("the file is empty: check that it is the right one"),
            Self::Utf16 => f.write_str(
                "the file is UTF-16 or UTF-32: convert it with `iconv -f UTF-16 -t UTF-8`",
            ),
            Self::NotAnObject { offset } => write!(
                f,
                "the file is not a JSON object: expected `{{` at byte {offset}; \
                 check that it is the right one"
            ),
            Self::Truncated {
                position,
                offset,
                end,
            } => write!(
                f,
                "the file ends at byte {end} before the end of entry {position}, \
                 which begins at byte {offset}: get a complete copy, \
                 or add the missing quote or bracket in this entry"
            ),
            Self::TextAfter { offset } => write!(
                f,
                "the JSON object ends before byte {offset}, but the file does not: \
                 remove the text after it, or the superfluous `}}` in an entry before it"
            ),
        }
    }
}

impl fmt::Debug for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for FileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}
