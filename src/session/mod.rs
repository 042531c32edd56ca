//! What a handler holds. No I/O: what a change means for the response is [`Outcome`], and where the state
//! lives is behind [`Home`].

mod access;
mod base;
#[cfg(feature = "store")]
mod draft;
mod life;
mod mutate;
mod outcome;
mod replay;
mod rules;
mod settle;
mod state;
mod whole;

use std::{fmt, pin::Pin, sync::Arc};

use self::state::Refused;
use crate::{
    error::{Error, ErrorKind},
    event::Event,
};

#[cfg(feature = "store")]
pub(crate) use self::{
    base::Held,
    draft::{Before, Draft},
    state::Ended,
};
pub(crate) use self::{
    base::{Base, Origin},
    outcome::{Change, Outcome},
    rules::{Measure, Rules},
    state::State,
};

/// Where a session lives.
pub(crate) trait Home: Send + Sync {
    fn rules(&self) -> &Rules;
    fn state(&self) -> &State;
    fn commit(&self) -> Waits<'_, ()>;
    fn still_valid(&self) -> Waits<'_, bool>;
}

/// What a home answers at once, or after it asked a store.
pub(crate) enum Waits<'a, T> {
    Done(Result<T, Error>),
    #[cfg_attr(
        not(feature = "store"),
        expect(dead_code, reason = "no store, no waiting")
    )]
    For(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<T> Waits<'_, T> {
    async fn done(self) -> Result<T, Error> {
        match self {
            Self::Done(answer) => answer,
            Self::For(answer) => answer.await,
        }
    }
}

/// The session of the request's visitor: always there, possibly empty.
///
/// Under axum it is an extractor; in plain Tower, [`Session::from_extensions`] gets it. It is a handle:
/// clones are of one session, and all methods take `&self`. What changed is sent when the response's
/// head is: nothing has to be saved, and nothing is sent when nothing changed.
///
/// A session is a set of entries, each any serde type under a key, and an optional owner. Both travel
/// sealed in the visitor's cookie, which holds about 3000 bytes of JSON, or are in a store.
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
/// All, whatever their status: a handler that fails keeps what it wrote before, its login included. So make
/// the steps that can fail first, where one is not to be kept without the other.
///
/// # When it is too late
///
/// Once the response's head is sent the session is, too: [`insert`](Self::insert), [`update`](Self::update),
/// [`write`](Self::write) and [`login`](Self::login) then fail with
/// [`ErrorKind::Late`](crate::ErrorKind::Late), the others change nothing; each is an event. A request that is
/// cancelled is over as well. The same holds after [`logout`](Self::logout), except that only `login` fails.
#[derive(Clone)]
pub struct Session {
    home: Arc<dyn Home>,
}

impl Session {
    pub(crate) fn at(home: Arc<dyn Home>) -> Self {
        Self { home }
    }

    pub(crate) fn state(&self) -> &State {
        self.home.state()
    }

    fn rules(&self) -> &Rules {
        self.home.rules()
    }

    /// What came of a change: nothing after `logout`, an error once the session was sent; both are an event.
    fn change<T>(&self, method: &str, made: Result<T, Refused>) -> Result<Option<T>, Error> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(Refused::Failed(error)) => Err(error),
            Err(Refused::LoggedOut) => {
                Event::LateWrite { method }.emit();
                Ok(None)
            }
            Err(Refused::Sent) => {
                Event::LateWrite { method }.emit();
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
