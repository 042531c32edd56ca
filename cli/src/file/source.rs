use std::io::{self, Read};

use super::error::FileError;

/// A reader with a buffer of a fixed size, which knows its place in the file.
pub(super) struct Source<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    offset: u64,
}

impl<R: Read> Source<R> {
    pub(super) const BUFFER: usize = 64 * 1024;

    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; Self::BUFFER].into(),
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// The next bytes of the file. Only the end of the file has none.
    pub(super) fn chunk(&mut self) -> Result<&[u8], FileError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The first four bytes of the file, or all if there are fewer.
    ///
    /// Other than [`chunk`](Self::chunk), it does not depend on how much one read brings.
    pub(super) fn first_four(&mut self) -> Result<&[u8], FileError> {
        while self.end < 4 && self.fill()? > 0 {}
        Ok(&self.buffer[..self.end.min(4)])
    }

    /// Moves on by `count` bytes of the chunk.
    pub(super) fn take(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// The place of the first byte of the chunk.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    fn fill(&mut self) -> Result<usize, FileError> {
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(FileError::Read { offset, source });
                }
            }
        }
    }
}
