//! The session that handlers hold, and the request that it belongs to.

use std::{fmt, pin::Pin, sync::Arc};

use super::{claim::Claim, edit::Refused, rules::Rules, state::State};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    event::Event,
};

/// The request that a session belongs to.
pub(crate) trait RequestContext: Send + Sync {
    fn rules(&self) -> &Rules;
    fn state(&self) -> &State;
    /// The current time by the layer's clock. `None` before 1970.
    fn now(&self) -> Option<Millis>;
    /// Whether sessions of the layer can come from a legacy cookie.
    fn reads_legacy(&self) -> bool;
    fn commit(&self) -> Answer<'_, ()>;
    fn still_valid(&self) -> Answer<'_, bool>;
    /// Claims the entries that were imported for an owner.
    fn claim_import(&self, owner: String) -> Answer<'_, Option<Claim>>;
    /// Notes that the claimed entries are saved.
    fn finish_import(&self, claim: Claim) -> Answer<'_, ()>;
    /// Whether the app's check still admits the owner.
    fn still_admitted(&self) -> Answer<'_, bool>;
}

/// An answer that is ready at once, or after a call to the store.
pub(crate) enum Answer<'a, T> {
    Ready(Result<T, Error>),
    Later(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<T> Answer<'_, T> {
    pub(super) async fn wait(self) -> Result<T, Error> {
        match self {
            Self::Ready(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

/// The visitor's session. Every request has one; it may be empty.
///
/// Under axum it is an extractor; in plain Tower, use [`Session::from_extensions`]. It is a handle:
/// clones refer to the same session, and all methods take `&self`. Changes are sent with the
/// response's head. There is no need to save them, and nothing is sent if nothing changed.
///
/// A session has entries, each a value of any serde type under a key, and an optional owner. They
/// are sealed in the visitor's cookie, which holds about 3000 bytes of JSON, or kept in a store.
///
/// ```
/// use tower_sealed_session::{Error, Session};
///
/// async fn count(session: Session) -> Result<String, Error> {
///     let n: u64 = session.get("n")?.unwrap_or(0) + 1;
///     session.insert("n", n)?;
///     Ok(format!("visit {n}"))
/// }
/// ```
///
/// # Which responses carry it
///
/// Every response carries the changes, whatever its status. If a handler fails, the changes that it
/// made before are sent, including a login. So run the steps that can fail first if the changes
/// depend on them.
///
/// # When it is too late
///
/// The session is sent with the response's head. After that, [`insert`](Self::insert),
/// [`update`](Self::update), [`write`](Self::write) and [`login`](Self::login) fail with
/// [`ErrorKind::Late`](crate::ErrorKind::Late), and the other methods change nothing. Each such
/// call emits an event. The same holds after a request was cancelled.
///
/// If the session expires while its request is handled, the response is sent, and the changes are
/// dropped with an event.
#[derive(Clone)]
pub struct Session {
    pub(super) request: Arc<dyn RequestContext>,
}

impl Session {
    pub(crate) fn new(request: Arc<dyn RequestContext>) -> Self {
        Self { request }
    }

    #[inline]
    pub(crate) fn state(&self) -> &State {
        self.request.state()
    }

    #[inline]
    pub(super) fn rules(&self) -> &Rules {
        self.request.rules()
    }

    /// The result of a change. After the session was sent, it is an error and an event.
    pub(super) fn change<T>(&self, method: &str, made: Result<T, Refused>) -> Result<T, Error> {
        match made {
            Ok(made) => Ok(made),
            Err(Refused::Failed(error)) => Err(error),
            Err(Refused::Sent) => {
                Event::LateWrite { method }.emit(&self.rules().metrics);
                Err(ErrorKind::Late.into())
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("entries", &self.len())
            .field("owned", &self.owner().is_some())
            .finish_non_exhaustive()
    }
}
