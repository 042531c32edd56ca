use std::{io::Read, mem};

use super::{error::FileError, reason::Reason, scan::Scan, source::Source};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Levels of brackets in an entry, with those of the entry itself.
///
/// `serde_json` parses 127 levels, and one of them is the object around all entries.
const MAX_DEPTH: u64 = 126;

/// Splits the object of the file into its members, without a look at their JSON.
pub(super) struct Splitter<R> {
    source: Source<R>,
    stage: Stage,
    position: u64,
    text: Text,
}

/// One key with its value.
pub(super) struct Member<'a> {
    /// Counted from 1.
    pub(super) position: u64,
    /// The first byte of the key.
    pub(super) offset: u64,
    /// Without the white space around key and value.
    pub(super) text: Result<&'a [u8], Reason>,
}

enum Stage {
    Start,
    Inside,
    /// Behind the object.
    Tail,
    Done,
}

/// The text of one member, if it is not too large.
struct Text {
    kept: Vec<u8>,
    size: u64,
    limit: usize,
}

impl<R: Read> Splitter<R> {
    /// Members of more than `limit` bytes are not kept in memory.
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self {
            source: Source::new(reader),
            stage: Stage::Start,
            position: 0,
            text: Text {
                kept: Vec::new(),
                size: 0,
                limit,
            },
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.text.limit = limit;
    }

    /// The next member. There are no more after an error.
    pub(super) fn next(&mut self) -> Result<Option<Member<'_>>, FileError> {
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::Start => {
                self.open()?;
                if self.first_unless_space()? == Some(b'}') {
                    self.source.take(1);
                    return self.tail();
                }
                self.member().map(Some)
            }
            Stage::Inside => self.member().map(Some),
            Stage::Tail => self.tail(),
            Stage::Done => Ok(None),
        }
    }

    fn open(&mut self) -> Result<(), FileError> {
        let start = self.source.first_four()?;
        if is_utf16(start) {
            return Err(FileError::Utf16);
        }
        if start.starts_with(BOM) {
            self.source.take(BOM.len());
        }
        match self.first_unless_space()? {
            Some(b'{') => self.source.take(1),
            Some(_) => {
                let offset = self.source.offset();
                return Err(FileError::NotAnObject { offset });
            }
            None => return Err(FileError::Empty),
        }
        Ok(())
    }

    fn member(&mut self) -> Result<Member<'_>, FileError> {
        self.position += 1;
        self.text.clear();
        self.first_unless_space()?;
        let offset = self.source.offset();
        let mut scan = Scan::default();
        self.stage = loop {
            // White space between key, colon and value is dropped, so that it does not count as
            // size.
            let first = match scan.is_outer() {
                true => self.first_unless_space()?,
                false => self.source.chunk()?.first().copied(),
            };
            match first {
                Some(b',') if scan.is_outer() => break Stage::Inside,
                Some(b'}') if scan.is_outer() => break Stage::Tail,
                Some(_) => {}
                None => {
                    return Err(FileError::Truncated {
                        position: self.position,
                        offset,
                        end: self.source.offset(),
                    });
                }
            }
            let chunk = self.source.chunk()?;
            let count = scan.run(chunk);
            self.text.push(&chunk[..count]);
            self.source.take(count);
        };
        self.source.take(1);
        let text = match self.text.get() {
            Ok(_) if scan.deepest() > MAX_DEPTH => Err(Reason::TooDeep),
            text => text,
        };
        Ok(Member {
            position: self.position,
            offset,
            text,
        })
    }

    /// Only white space may follow the object.
    fn tail(&mut self) -> Result<Option<Member<'_>>, FileError> {
        if self.first_unless_space()?.is_some() {
            let offset = self.source.offset();
            return Err(FileError::TextAfter { offset });
        }
        Ok(None)
    }

    /// Skips white space, and returns the byte after it. Only the end of the file has none.
    fn first_unless_space(&mut self) -> Result<Option<u8>, FileError> {
        loop {
            let chunk = self.source.chunk()?;
            let spaces = chunk.iter().position(|&b| !is_space(b));
            let first = spaces.map(|at| chunk[at]);
            let count = spaces.unwrap_or(chunk.len());
            let is_end = chunk.is_empty();
            self.source.take(count);
            if first.is_some() || is_end {
                return Ok(first);
            }
        }
    }

    /// The bytes that are allocated for the file.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        Source::<R>::BUFFER + self.text.kept.capacity()
    }
}

impl Text {
    fn clear(&mut self) {
        self.kept.clear();
        self.size = 0;
    }

    fn push(&mut self, run: &[u8]) {
        self.size += run.len() as u64;
        if self.size > self.limit as u64 {
            return;
        }
        let needed = self.kept.len() + run.len();
        let capacity = self.kept.capacity();
        if needed > capacity {
            // Doubles as `Vec` does, but not to more than the limit.
            let capacity = capacity.saturating_mul(2).clamp(needed, self.limit);
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        self.kept.extend_from_slice(run);
    }

    fn get(&self) -> Result<&[u8], Reason> {
        match self.size > self.limit as u64 {
            true => Err(Reason::TooLarge),
            false => Ok(&self.kept),
        }
    }
}

/// Whether the first bytes are UTF-16 or UTF-32, with or without a byte order mark.
fn is_utf16(start: &[u8]) -> bool {
    matches!(
        start,
        [0xff, 0xfe, ..]
            | [0xfe, 0xff, ..]
            | [0, 1..=255, ..]
            | [1..=255, 0, ..]
            | [0, 0, _, 1..=255]
    )
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
