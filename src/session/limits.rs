//! The maximum size of a session.

use std::sync::Arc;

use crate::{
    compat::{Legacy, object_len},
    cookie::MAX_PAIR,
    error::{Error, TooLarge},
    id::Replaced,
    record, seal, store,
};

/// The size limit of a layer's sessions.
#[derive(Clone)]
pub(crate) struct Limits {
    /// The length of the cookie's name.
    pub(crate) name_len: usize,
    pub(crate) measure: Measure,
}

/// What the limit applies to.
#[derive(Clone)]
pub(crate) enum Measure {
    /// Name and value of a sealed cookie, or the row of a session that is in a store already.
    Sealed,
    /// Name and value of a sealed cookie, and those of the legacy cookie beside it.
    Paired(Arc<Legacy>),
    /// Name and value of a legacy cookie.
    Signed(Arc<Legacy>),
    /// A row of a store.
    Stored,
}

impl Limits {
    /// The length of a sealed cookie, name and value, with that many bytes of owner and entries.
    #[inline]
    pub(crate) fn cookie_len(&self, owner: Option<usize>, entries: usize) -> usize {
        self.name_len + seal::token_len(record::encoded_len(owner, entries))
    }

    /// Whether a session with that many bytes of owner and entries fits. `in_store`: it has a row.
    /// `sizes` lists its entries, with the length of each value.
    #[inline]
    pub(super) fn check(
        &self,
        in_store: bool,
        owner: Option<usize>,
        entries: usize,
        sizes: impl FnOnce() -> Vec<(String, usize)>,
    ) -> Result<(), Error> {
        let legacy_len =
            |legacy: &Legacy, sizes: &[(String, usize)]| legacy.pair_len(object_len(sizes));
        let (size, sizes) = match &self.measure {
            Measure::Sealed => {
                let size = self.cookie_len(owner, entries);
                if size <= MAX_PAIR {
                    return Ok(());
                }
                if in_store {
                    return check_row(owner, entries, sizes);
                }
                (size, sizes())
            }
            Measure::Stored => return check_row(owner, entries, sizes),
            Measure::Paired(legacy) => {
                let sizes = sizes();
                let sealed = self.cookie_len(owner, entries);
                (sealed.max(legacy_len(legacy, &sizes)), sizes)
            }
            Measure::Signed(legacy) => {
                let sizes = sizes();
                (legacy_len(legacy, &sizes), sizes)
            }
        };
        match size <= MAX_PAIR {
            true => Ok(()),
            false => Err(too_large(TooLarge::COOKIE, size, MAX_PAIR, sizes)),
        }
    }
}

/// Whether a row with that many bytes of owner and entries fits.
#[inline]
pub(crate) fn check_row(
    owner: Option<usize>,
    entries: usize,
    sizes: impl FnOnce() -> Vec<(String, usize)>,
) -> Result<(), Error> {
    let row = 1 + Replaced::MAX_LEN + record::encoded_len(owner, entries);
    let size = seal::OVERHEAD + row.next_multiple_of(record::BLOCK);
    match size <= store::MAX_BYTES {
        true => Ok(()),
        false => Err(too_large(TooLarge::ROW, size, store::MAX_BYTES, sizes())),
    }
}

#[cold]
fn too_large(
    place: &'static str,
    size: usize,
    limit: usize,
    mut largest: Vec<(String, usize)>,
) -> Error {
    largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    largest.truncate(TooLarge::NAMED);
    Error::larger_than(TooLarge::new(place, size, limit, largest))
}
