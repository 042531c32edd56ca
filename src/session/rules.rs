use crate::{
    clock::Millis,
    error::{Error, TooLarge},
    expiry::Timeouts,
    record::{self, SessionId, Times},
    seal,
};

/// What a layer demands of every session.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) timeouts: Timeouts,
    /// What the cookie's name and value may measure together.
    pub(crate) limit: usize,
    pub(crate) name_len: usize,
    pub(crate) draw: fn(&mut [u8]) -> Result<(), Error>,
}

impl Rules {
    /// The times of a session that begins now.
    pub(super) fn fresh(&self, now: Millis) -> Times {
        let lifetime = u32::try_from(self.timeouts.absolute / 1000).unwrap_or(u32::MAX);
        Times {
            created: now,
            issued: 0,
            lifetime,
            remembered: false,
        }
    }

    pub(super) fn draw_id(&self) -> Result<SessionId, Error> {
        let mut bytes = [0; SessionId::LEN];
        (self.draw)(&mut bytes)?;
        Ok(SessionId::new(bytes))
    }

    pub(super) fn size(&self, owner: Option<&str>, entries: usize) -> usize {
        self.name_len + seal::token_len(record::encoded_len(owner.map(str::len), entries))
    }

    /// Whether a session of that owner and so many bytes of entries fits.
    pub(super) fn check(
        &self,
        owner: Option<&str>,
        entries: usize,
        sizes: impl FnOnce() -> Vec<(String, usize)>,
    ) -> Result<(), Error> {
        let size = self.size(owner, entries);
        if size <= self.limit {
            return Ok(());
        }
        let mut largest = sizes();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        largest.truncate(TooLarge::NAMED);
        Err(Error::larger_than(TooLarge::new(size, self.limit, largest)))
    }
}
