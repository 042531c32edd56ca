use super::incoming::RowRef;
use crate::{record::Record, store::StoreKey};

/// Imported entries that this request has claimed.
pub(crate) struct Claim {
    pub(crate) key: StoreKey,
    pub(crate) row: RowRef,
    pub(crate) source: [u8; 16],
    pub(crate) record: Record,
}
