//! The errors of a request.

mod chain;
mod too_large;

use std::{fmt, sync::Arc};

use http::{HeaderValue, StatusCode};

pub(crate) use self::chain::Chain;
pub use self::too_large::TooLarge;

/// The reason why a session could not be read, changed or saved.
///
/// It is cheap to clone. It never holds a secret, a cookie, an owner or a value; it shows only
/// names of entries and of Rust types. `Debug` prints the text of the error and of its sources.
///
/// A bad cookie is not an error: the visitor is then anonymous.
///
/// ```
/// use tower_sealed_session::{ErrorKind, KeyRing, SessionLayer, testing};
///
/// let layer = SessionLayer::new(KeyRing::ephemeral()?);
/// let session = testing::session(&layer);
///
/// let error = session.insert("essay", "x".repeat(5000)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::TooLarge);
/// assert_eq!(error.too_large().unwrap().largest(), [("essay".to_owned(), 5002)]);
/// assert!(session.is_empty());
/// # Ok::<(), tower_sealed_session::Error>(())
/// ```
///
/// # As a response
///
/// Under axum an error is a response: `503 Service Unavailable` for [`ErrorKind::Unavailable`] and
/// [`ErrorKind::Ended`], otherwise `500 Internal Server Error`. If the session cannot be saved, the
/// layer replaces the handler's response by the same one. The event `failed` has the text of the
/// error; see [`guide::events`](crate::guide::events). An error that a handler deals with is no
/// event.
///
/// [`ErrorKind::NoOwner`] is `401 Unauthorized`, or `303 See Other` with the login page as its
/// `Location` if the layer has a [`login_page`](crate::SessionLayer::login_page). It is no event,
/// since visitors without a login are normal.
///
/// The response's extensions hold the error. So a layer around the session layer can show a page of
/// the app:
///
/// ```
/// use axum::response::{Html, IntoResponse, Response};
/// use tower_sealed_session::{Error, ErrorKind};
///
/// async fn show_error(response: Response) -> Response {
///     let Some(error) = response.extensions().get::<Error>() else { return response };
///     if error.kind() == ErrorKind::NoOwner {
///         return response; // it may lead to the login page
///     }
///     let (parts, _) = response.into_parts(); // the status and the headers stay
///     (parts, Html("<h1>Sorry, please try again</h1>")).into_response()
/// }
///
/// # use axum::{Router, middleware::map_response};
/// # use tower_sealed_session::{KeyRing, SessionLayer};
/// # let sessions = SessionLayer::new(KeyRing::ephemeral()?);
/// # let routes: Router = Router::new();
/// let app = routes.layer(sessions).layer(map_response(show_error));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<Arc<Detail>>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session would become too large for its cookie, or for its row in a store. Nothing was
    /// changed.
    TooLarge,
    /// An entry does not deserialize as the requested type.
    WrongType,
    /// A value does not serialize to JSON, or cannot be read from it again. Nothing was changed.
    Encoding,
    /// An entry's key is empty or longer than 255 bytes. Nothing was changed.
    InvalidKey,
    /// An owner is empty or longer than 255 bytes. Nothing was changed.
    InvalidOwner,
    /// An id of an old system cannot be the value of a cookie, or has more than 256 bytes. Nothing
    /// was changed.
    InvalidOldId,
    /// The response's head has been sent, and the session with it. Nothing was changed.
    Late,
    /// The session expired before the response was sent: the request took too long, or the time
    /// given to `remember` has passed.
    Expired,
    /// The entries of a shared cookie do not name the owner that was given to `login`: insert the
    /// entry that `LegacyCookie::owner` reads. With the feature `starlette`.
    OwnerNotShared,
    /// Another request ended the session, or gave it another id, so the changes of this one are
    /// lost. The next request of the browser brings the new cookie and can make them again.
    Ended,
    /// The system's random source failed.
    Entropy,
    /// The clock shows a time before 1970.
    Clock,
    /// The time given to `SessionLayer::revoke_everything_before` is before 1970, or more than 30
    /// seconds ahead of the clock. Nothing was revoked.
    InvalidTime,
    /// The session is in a store that cannot be reached, or that this layer does not have. Or the
    /// log of revocations cannot be reached, or was not read for too long. Or the app's own check of
    /// the owner failed (`SessionLayer::check`).
    Unavailable,
    /// The request has no session with an owner, and the route needs one: see
    /// [`Owner`](crate::Owner) and [`require_owner`](crate::require_owner()).
    NoOwner,
    /// The request did not pass through a [`SessionLayer`](crate::SessionLayer).
    MissingLayer,
}

enum Detail {
    TooLarge(TooLarge),
    Entry {
        key: Option<String>,
        type_name: &'static str,
        reason: Option<&'static str>,
    },
    Layer {
        cookie_name: String,
    },
    NoStore,
    NoLog,
    Stale,
    /// The log of revocations failed.
    Log(Box<dyn std::error::Error + Send + Sync>),
    /// The login page.
    Login(HeaderValue),
    /// The reason why the app's check gave no answer.
    Check(Box<dyn std::error::Error + Send + Sync>),
    Source(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sizes, if the kind is [`ErrorKind::TooLarge`].
    #[must_use]
    pub fn too_large(&self) -> Option<&TooLarge> {
        match self.detail.as_deref() {
            Some(Detail::TooLarge(sizes)) => Some(sizes),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::Unavailable | ErrorKind::Ended => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::NoOwner if self.location().is_some() => StatusCode::SEE_OTHER,
            ErrorKind::NoOwner => StatusCode::UNAUTHORIZED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn larger_than(sizes: TooLarge) -> Self {
        Self::with(ErrorKind::TooLarge, Detail::TooLarge(sizes))
    }

    /// The error of a value with another type. serde's own messages quote the value, so they are
    /// not kept.
    pub(crate) fn wrong_type<T>(key: Option<&str>) -> Self {
        Self::with(ErrorKind::WrongType, Detail::entry::<T>(key, None))
    }

    pub(crate) fn encoding<T: ?Sized>(key: Option<&str>, reason: Option<&'static str>) -> Self {
        Self::with(ErrorKind::Encoding, Detail::entry::<T>(key, reason))
    }

    pub(crate) fn missing_layer(cookie_name: &str) -> Self {
        let cookie_name = cookie_name.to_owned();
        Self::with(ErrorKind::MissingLayer, Detail::Layer { cookie_name })
    }

    pub(crate) fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::with(ErrorKind::Unavailable, Detail::Source(Box::new(source)))
    }

    /// The error of a layer that has no store.
    pub(crate) fn no_store() -> Self {
        Self::with(ErrorKind::Unavailable, Detail::NoStore)
    }

    /// The error of a layer that has no log of revocations.
    pub(crate) fn no_log() -> Self {
        Self::with(ErrorKind::Unavailable, Detail::NoLog)
    }

    /// The error of a call to the log of revocations.
    pub(crate) fn log(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::with(ErrorKind::Unavailable, Detail::Log(Box::new(source)))
    }

    /// The error of a layer whose log of revocations was not read for too long.
    pub(crate) fn stale_log() -> Self {
        Self::with(ErrorKind::Unavailable, Detail::Stale)
    }

    /// The error of a request without an owner. `login` is the page that it is sent to.
    pub(crate) fn no_owner(login: Option<HeaderValue>) -> Self {
        match login {
            Some(login) => Self::with(ErrorKind::NoOwner, Detail::Login(login)),
            None => ErrorKind::NoOwner.into(),
        }
    }

    /// The page that the response leads to.
    pub(crate) fn location(&self) -> Option<&HeaderValue> {
        match self.detail.as_deref() {
            Some(Detail::Login(location)) => Some(location),
            _ => None,
        }
    }

    /// The error of a check that gave no answer.
    pub(crate) fn unchecked(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::with(ErrorKind::Unavailable, Detail::Check(source))
    }

    /// The source, if it is of that type.
    pub(crate) fn source_of<T: std::error::Error + 'static>(&self) -> Option<&T> {
        match self.detail.as_deref() {
            Some(Detail::Source(source) | Detail::Log(source)) => source.downcast_ref(),
            _ => None,
        }
    }

    pub(crate) fn entropy(source: getrandom::Error) -> Self {
        Self::with(ErrorKind::Entropy, Detail::Source(Box::new(source)))
    }

    fn with(kind: ErrorKind, detail: Detail) -> Self {
        Self {
            kind,
            detail: Some(Arc::new(detail)),
        }
    }
}

impl Detail {
    fn entry<T: ?Sized>(key: Option<&str>, reason: Option<&'static str>) -> Self {
        Self::Entry {
            key: key.map(str::to_owned),
            type_name: std::any::type_name::<T>(),
            reason,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, detail: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_deref() {
            Some(Detail::TooLarge(sizes)) => sizes.fmt(f),
            Some(Detail::Entry {
                key,
                type_name,
                reason,
            }) => {
                match key {
                    Some(key) => write!(f, "the entry {key:?} ")?,
                    None => f.write_str("the session as a whole ")?,
                }
                let fault = match self.kind {
                    ErrorKind::WrongType => "does not deserialize as",
                    _ => "does not serialize to JSON from",
                };
                write!(f, "{fault} {type_name}")?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Some(Detail::Layer { cookie_name }) => write!(
                f,
                "the request did not pass through a session layer whose cookie is named {cookie_name:?}: \
                 give the full name with its prefix, see `SessionLayer::cookie_name`"
            ),
            Some(Detail::NoStore) => f.write_str(
                "this layer has no store: \
                 set `store`, `overflow` or `read_from` with the store that holds the sessions",
            ),
            Some(Detail::NoLog) => {
                f.write_str("this layer has no log of revocations: set `revocations`")
            }
            Some(Detail::Log(_)) => f.write_str("the log of revocations cannot be reached"),
            Some(Detail::Stale) => f.write_str(
                "the log of revocations was not read for too long, so the session may have ended: \
                 check the server of the log",
            ),
            Some(Detail::Check(_)) => f.write_str("the app's check of the owner failed"),
            Some(Detail::Login(_) | Detail::Source(_)) | None => self.kind.fmt(f),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the session is too large for its cookie",
            Self::WrongType => "the session holds a value of another type",
            Self::Encoding => "a value does not serialize to JSON",
            Self::InvalidKey => "the key of a session entry must have 1 to 255 bytes",
            Self::InvalidOwner => "the owner of a session must have 1 to 255 bytes",
            Self::InvalidOldId => {
                "an old id must have 1 to 256 bytes, all of which can be in the value of a cookie"
            }
            Self::Late => "the session can no longer change: the response's head has been sent",
            Self::Expired => "the session expired before the response was sent",
            Self::OwnerNotShared => {
                "the entries of the shared cookie do not name the owner: \
                 after `login`, insert the entry that `LegacyCookie::owner` reads"
            }
            Self::Ended => {
                "the session was ended by another request, or has another id now: \
                 the changes of this one are lost"
            }
            Self::Entropy => "system random source failed",
            Self::Clock => "the clock shows a time before 1970: set the system's clock",
            Self::InvalidTime => {
                "the time before which sessions are revoked must be after 1970, and at most 30 s \
                 ahead of the clock: nothing was revoked; give an earlier time, or revoke everything"
            }
            Self::Unavailable => "the session is in a store that this layer cannot reach",
            Self::NoOwner => "the request has no session with an owner: log in first",
            Self::MissingLayer => {
                "the request did not pass through a session layer: \
                 add `.layer(SessionLayer::from_env()?)` to the router, after its routes"
            }
        })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.detail.as_deref() {
            Some(Detail::Source(source) | Detail::Check(source) | Detail::Log(source)) => {
                Some(&**source)
            }
            _ => None,
        }
    }
}
