//! What can go wrong while a request runs.

use std::{fmt, sync::Arc};

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};

/// Why a session could not be read, changed or kept.
///
/// It is cheap to clone, and never holds a secret, a cookie, an owner or a session's value; names of
/// entries and Rust types are all it shows. Under axum it is a response: `503 Service Unavailable`
/// for [`ErrorKind::Unavailable`], else `500 Internal Server Error`, with the error itself in the
/// response's extensions for the layers outside to log.
///
/// A bad cookie is not an error: it is an anonymous session.
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
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<Arc<Detail>>,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The change would make the session larger than its cookie may be; nothing was changed.
    TooLarge,
    /// An entry does not deserialize as the type that was asked for.
    WrongType,
    /// A value does not serialize to JSON; nothing was changed.
    Encoding,
    /// An entry's key is empty or longer than 255 bytes; nothing was changed.
    InvalidKey,
    /// An owner is empty or longer than 255 bytes; nothing was changed.
    InvalidOwner,
    /// The response's head has been sent, and the session with it; nothing was changed.
    Late,
    /// The session's life was over before the response was: the request took too long, or it was
    /// remembered for a time that has passed.
    Expired,
    /// The session was ended by `logout` earlier in this request; nothing was changed.
    LoggedOut,
    /// The cookie that is shared with another system does not say whose session it is: what
    /// [`LegacyCookie::owner`](crate::compat::LegacyCookie::owner) makes of the entries is not what `login` was given.
    #[cfg(feature = "starlette")]
    OwnerNotShared,
    /// Another request ended the session meanwhile: what this one changed is lost. With a store, from
    /// [`commit`](crate::Session::commit).
    Ended,
    /// The operating system gave no randomness.
    Entropy,
    /// The clock shows a moment before 1970.
    Clock,
    /// The session's state is in a store that cannot be reached, or that this layer does not have.
    Unavailable,
    /// The request did not pass through a [`SessionLayer`](crate::SessionLayer).
    MissingLayer,
}

#[derive(Debug)]
enum Detail {
    TooLarge(TooLarge),
    Entry {
        key: Option<String>,
        type_name: &'static str,
    },
    Layer {
        cookie_name: String,
    },
    Source(Box<dyn std::error::Error + Send + Sync>),
}

/// By how much a session would not fit, and what takes the room.
///
/// All sizes are bytes. Session data grows by a third in the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    place: &'static str,
    size: usize,
    limit: usize,
    largest: Vec<(String, usize)>,
}

impl TooLarge {
    /// How many of the largest entries are named.
    pub(crate) const NAMED: usize = 3;

    pub(crate) const COOKIE: &'static str = "would need a cookie, name and value, of";

    pub(crate) fn new(
        place: &'static str,
        size: usize,
        limit: usize,
        largest: Vec<(String, usize)>,
    ) -> Self {
        Self {
            place,
            size,
            limit,
            largest,
        }
    }

    /// What the cookie's name and value would measure together; with a store, what it would be given.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// What they may measure: 4096, above which browsers drop a cookie; with a store, 65 536.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Up to three entries, the largest first: key, and the length of the value as JSON.
    #[must_use]
    pub fn largest(&self) -> &[(String, usize)] {
        &self.largest
    }
}

impl Error {
    /// What kind of error it is.
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

    /// Makes `response`, which is fresh, the answer to a request that met this error.
    pub(crate) fn onto<B>(self, mut response: Response<B>) -> Response<B> {
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == ErrorKind::Unavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            ErrorKind::Unavailable | ErrorKind::Ended => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn larger_than(sizes: TooLarge) -> Self {
        Self::with(ErrorKind::TooLarge, Detail::TooLarge(sizes))
    }

    /// serde's own messages quote the value, so they are not kept.
    pub(crate) fn wrong_type<T>(key: Option<&str>) -> Self {
        Self::with(ErrorKind::WrongType, Detail::entry::<T>(key))
    }

    pub(crate) fn encoding<T: ?Sized>(key: Option<&str>) -> Self {
        Self::with(ErrorKind::Encoding, Detail::entry::<T>(key))
    }

    pub(crate) fn missing_layer(cookie_name: &str) -> Self {
        let cookie_name = cookie_name.to_owned();
        Self::with(ErrorKind::MissingLayer, Detail::Layer { cookie_name })
    }

    #[cfg(feature = "store")]
    pub(crate) fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::with(ErrorKind::Unavailable, Detail::Source(Box::new(source)))
    }

    /// Its source, if it is of that type.
    #[cfg(feature = "store")]
    pub(crate) fn source_of<T: std::error::Error + 'static>(&self) -> Option<&T> {
        match self.detail.as_deref() {
            Some(Detail::Source(source)) => source.downcast_ref(),
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
    fn entry<T: ?Sized>(key: Option<&str>) -> Self {
        Self::Entry {
            key: key.map(str::to_owned),
            type_name: std::any::type_name::<T>(),
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
            Some(Detail::Entry { key, type_name }) => {
                match key {
                    Some(key) => write!(f, "the entry {key:?} ")?,
                    None => f.write_str("the session as a whole ")?,
                }
                let fault = match self.kind {
                    ErrorKind::WrongType => "does not deserialize as",
                    _ => "does not serialize to JSON from",
                };
                write!(f, "{fault} {type_name}")
            }
            Some(Detail::Layer { cookie_name }) => write!(
                f,
                "the request did not pass through a session layer whose cookie is named {cookie_name:?}, \
                 prefix and all, see `SessionLayer::cookie_name`"
            ),
            Some(Detail::Source(_)) | None => self.kind.fmt(f),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the session is larger than its cookie may be",
            Self::WrongType => "the session holds a value of another type",
            Self::Encoding => "a value does not serialize to JSON",
            Self::InvalidKey => "the key of a session entry must have 1 to 255 bytes",
            Self::InvalidOwner => "the owner of a session must have 1 to 255 bytes",
            Self::Late => "the session was sent with the response's head and can no longer change",
            Self::Expired => "the session's life was over before the response was",
            Self::LoggedOut => "the session was ended by logout earlier in this request",
            #[cfg(feature = "starlette")]
            Self::OwnerNotShared => {
                "the shared cookie does not say whose session it is: \
                 after `login`, insert the entry that `LegacyCookie::owner` reads"
            }
            Self::Ended => {
                "the session was ended by another request: what this one changed is lost"
            }
            Self::Entropy => "the operating system gave no randomness",
            Self::Clock => "the clock shows a moment before 1970",
            Self::Unavailable => {
                "the session's state is in a store, and none can be reached from this layer"
            }
            Self::MissingLayer => {
                "the request did not pass through a session layer: \
                 add `.layer(SessionLayer::from_env()?)` to the router, after its routes"
            }
        })
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the session {} {} bytes, and at most {} are accepted",
            self.place, self.size, self.limit
        )?;
        for (n, (key, len)) in self.largest.iter().enumerate() {
            let lead = if n == 0 { "; largest entries: " } else { ", " };
            write!(f, "{lead}{key:?} ({len} bytes)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.detail.as_deref() {
            Some(Detail::Source(source)) => Some(&**source),
            _ => None,
        }
    }
}
