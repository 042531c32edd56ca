//! Tests of private parts. They are compiled into the library's own tests, so nothing has to be
//! public for them.

mod base64;
mod differential;
mod known_answers;
mod properties;
mod published_secrets;
mod random;
mod timing;
mod tokens;
mod vectors;

use std::{io::Read as _, sync::Arc};

use http::Response;

use crate::request::{Committed, Slot};

/// Commits the session and returns the response with its headers. The layer must have no store.
pub(crate) fn committed<B: Default>(slot: &Arc<Slot>, mut response: Response<B>) -> Response<B> {
    assert!(
        matches!(slot.commit(&mut response), Committed::Now),
        "without a store, a commit is immediate"
    );
    response
}

/// Runs `act`. Returns its result and the events that it logged.
pub(crate) fn with_events<T>(act: impl FnOnce() -> T) -> (T, String) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(Arc::new(writer))
        .finish();
    let done = tracing::subscriber::with_default(subscriber, act);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    (done, text)
}
