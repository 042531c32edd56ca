use std::{fmt, io::Read, iter::FusedIterator};

use super::{
    decode,
    entry::Entry,
    error::FileError,
    reason::BadEntry,
    split::{Member, Splitter},
};

/// Reads the entries of a sessions file in their order.
///
/// An `Err` is the last item. A bad entry is an `Ok(Err(_))`, and the next entry follows.
///
/// Memory is one entry and a buffer of 64 KiB, for a file of any size.
pub(crate) struct Entries<R> {
    splitter: Splitter<R>,
}

impl<R: Read> Entries<R> {
    /// The default of [`max_entry`](Self::max_entry): 1 MiB.
    pub(crate) const MAX_ENTRY: usize = 1024 * 1024;

    /// The reader needs no buffer of its own.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            splitter: Splitter::new(reader, Self::MAX_ENTRY),
        }
    }

    /// Sets the limit for the text of an entry, from the quote of the id to the last bracket.
    ///
    /// A larger entry is a [`BadEntry`], and is not held in memory.
    pub(crate) fn max_entry(mut self, bytes: usize) -> Self {
        self.splitter.set_limit(bytes);
        self
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.splitter.allocated()
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = Result<Result<Entry, BadEntry>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.splitter
            .next()
            .map(|member| member.map(entry))
            .transpose()
    }
}

impl<R: Read> FusedIterator for Entries<R> {}

impl<R> fmt::Debug for Entries<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

fn entry(member: Member<'_>) -> Result<Entry, BadEntry> {
    decode::entry(&member).map_err(|reason| BadEntry {
        position: member.position,
        offset: member.offset,
        reason,
    })
}
