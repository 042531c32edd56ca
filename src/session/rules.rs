#[cfg(feature = "starlette")]
use std::sync::Arc;

use crate::{
    clock::Millis,
    error::{Error, TooLarge},
    expiry::Timeouts,
    record::{self, SessionId, Times},
    seal,
};

/// What a layer demands of every session.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) timeouts: Timeouts,
    /// What the cookie's name and value may measure together.
    pub(crate) limit: usize,
    pub(crate) measure: Measure,
    pub(crate) draw: fn(&mut [u8]) -> Result<(), Error>,
    /// Whether changes may have to be made again, on what another request wrote to the store meanwhile.
    #[cfg(feature = "store")]
    pub(crate) replays: bool,
}

/// How long a cookie's name and value are together, or a row.
#[derive(Clone)]
pub(crate) enum Measure {
    /// Of a sealed cookie, whose name is so long.
    Sealed { name_len: usize },
    /// Of a sealed cookie, or, where that is longer, of the old system's beside it.
    #[cfg(feature = "starlette")]
    Twins { name_len: usize, legacy: LenOf },
    /// Of the old system's cookie.
    #[cfg(feature = "starlette")]
    Signed(LenOf),
    /// Of what a store keeps.
    #[cfg(feature = "store")]
    Stored,
}

/// The length for a JSON object of entries, given as keys and lengths of values.
#[cfg(feature = "starlette")]
type LenOf = Arc<dyn Fn(&[(String, usize)]) -> usize + Send + Sync>;

impl Measure {
    fn sealed(name_len: usize, owner: Option<&str>, entries: usize) -> usize {
        name_len + seal::token_len(record::encoded_len(owner.map(str::len), entries))
    }
}

impl Rules {
    /// The times of a session that begins now.
    pub(crate) fn fresh(&self, now: Millis) -> Times {
        let lifetime = u32::try_from(self.timeouts.absolute / 1000).unwrap_or(u32::MAX);
        Times {
            created: now,
            issued: 0,
            lifetime,
            remembered: false,
        }
    }

    /// Whether changes may have to be made again.
    pub(super) fn replays(&self) -> bool {
        #[cfg(feature = "store")]
        return self.replays;
        #[cfg(not(feature = "store"))]
        false
    }

    pub(crate) fn draw_id(&self) -> Result<SessionId, Error> {
        let mut bytes = [0; SessionId::LEN];
        (self.draw)(&mut bytes)?;
        Ok(SessionId::new(bytes))
    }

    /// Whether a session of that owner and so many bytes of entries fits.
    pub(super) fn check(
        &self,
        owner: Option<&str>,
        entries: usize,
        sizes: impl FnOnce() -> Vec<(String, usize)>,
    ) -> Result<(), Error> {
        let (size, mut largest) = match &self.measure {
            Measure::Sealed { name_len } => {
                let size = Measure::sealed(*name_len, owner, entries);
                if size <= self.limit {
                    return Ok(());
                }
                (size, sizes())
            }
            #[cfg(feature = "starlette")]
            Measure::Twins { name_len, legacy } => {
                let sizes = sizes();
                let sealed = Measure::sealed(*name_len, owner, entries);
                (sealed.max(legacy(&sizes)), sizes)
            }
            #[cfg(feature = "starlette")]
            Measure::Signed(legacy) => {
                let sizes = sizes();
                (legacy(&sizes), sizes)
            }
            #[cfg(feature = "store")]
            Measure::Stored => {
                let size = seal::OVERHEAD + record::encoded_len(owner.map(str::len), entries);
                if size <= self.limit {
                    return Ok(());
                }
                (size, sizes())
            }
        };
        if size <= self.limit {
            return Ok(());
        }
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        largest.truncate(TooLarge::NAMED);
        let place = match self.measure {
            #[cfg(feature = "store")]
            Measure::Stored => "would measure",
            _ => TooLarge::COOKIE,
        };
        Err(Error::larger_than(TooLarge::new(
            place, size, self.limit, largest,
        )))
    }

    /// How long a cookie is, name and value, that holds so much.
    #[cfg(feature = "store")]
    pub(crate) fn cookie_len(name_len: usize, owner: Option<&str>, entries: usize) -> usize {
        Measure::sealed(name_len, owner, entries)
    }
}
