use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::{error::FileError, split::Splitter};

/// What a first pass finds out about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The number of entries, good and bad: the position of the last one.
    pub(crate) entries: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
    /// Of the whole file.
    pub(crate) sha256: [u8; 32],
}

/// Counts the entries and hashes the file. The entries are not parsed.
///
/// # Errors
///
/// Fails if the file is broken as a whole, with the same error as
/// [`Entries`](super::Entries). Nothing of the file needs to be imported in that case.
pub(crate) fn survey(reader: impl Read) -> Result<Survey, FileError> {
    let mut file = Hashed {
        reader,
        hash: Sha256::new(),
        bytes: 0,
    };
    // No entry is kept: the limit is 0 bytes.
    let mut splitter = Splitter::new(&mut file, 0);
    let mut entries = 0;
    while let Some(member) = splitter.next()? {
        entries = member.position;
    }
    Ok(Survey {
        entries,
        bytes: file.bytes,
        sha256: file.hash.finalize().into(),
    })
}

struct Hashed<R> {
    reader: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
