//! The errors of calls to the store, and of what is found there.

use crate::{
    error::Error,
    store::{StoreError, StoreErrorKind},
};

/// Whether a call was not answered, so that it may have been applied.
pub(super) fn is_silence(error: &Error) -> bool {
    error.as_store_error().is_some_and(StoreError::is_silence)
}

/// Other requests change the session all the time.
pub(super) fn contended() -> Error {
    Error::store(StoreError::new(StoreErrorKind::Contended))
}

/// Another instance has a key that this one does not know. Its row must not be overwritten.
pub(super) fn unreadable() -> Error {
    let text = "another instance saved this session with a secret that this one does not have: \
                add the secret to SESSION_SECRET_FALLBACKS of every instance first";
    Error::store(StoreError::new(StoreErrorKind::Other).message(text))
}
