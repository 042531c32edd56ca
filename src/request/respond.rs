//! Writes the outcome of a commit into the response. All changes of its headers begin here.

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE},
};

use crate::{
    cookie::cache::{self, Exposure},
    error::{Chain, Error, ErrorKind},
    event::Event,
    metrics::Metrics,
    session::Change,
};

/// The effect of a commit on the response.
pub(crate) enum Reply {
    /// The session was opened, and no cookie changes.
    Unchanged,
    /// The response of the handler, with cookies.
    Cookies {
        exposure: Exposure,
        cookies: Cookies,
        /// Emitted after the cookies were added.
        event: Option<Event<'static>>,
    },
    /// An error response instead of the handler's response. It sets the cookies too.
    Error { error: Error, cookies: Cookies },
}

/// The `Set-Cookie` headers: ours, and that of the legacy cookie.
pub(super) type Cookies = [Option<HeaderValue>; 2];

impl Reply {
    /// Writes the reply into the response. `nested` means that a layer with another cookie name is
    /// around this one.
    pub(super) fn write<B: Default>(
        self,
        response: &mut Response<B>,
        nested: bool,
        metrics: &Metrics,
    ) {
        match self {
            Self::Unchanged => cache::mark(response, Exposure::Opened, nested),
            Self::Cookies {
                exposure,
                cookies,
                event,
            } => {
                let passed_on = nested.then(|| cookies.clone());
                append(response.headers_mut(), cookies);
                if let Some(event) = event {
                    event.emit(metrics);
                }
                cache::mark(response, exposure, nested);
                if let Some(cookies) = passed_on {
                    let extensions = response.extensions_mut();
                    let inside = extensions.get_or_insert_default::<SetInside>();
                    inside.0.extend(cookies.into_iter().flatten());
                }
            }
            Self::Error { error, cookies } => {
                replace(response, error);
                append(response.headers_mut(), cookies);
            }
        }
    }
}

/// The cookies that layers of other names have set inside this one, in the response's extensions.
/// They are kept when this layer replaces the response, since those sessions are already renewed or
/// ended.
#[derive(Clone, Default)]
struct SetInside(Vec<HeaderValue>);

/// Replaces the whole response, since it may show data of a session that could not be saved.
fn replace<B: Default>(response: &mut Response<B>, error: Error) {
    let extensions = response.extensions_mut();
    let inside = extensions.remove::<SetInside>();
    *response = match extensions.get::<Error>() {
        // an early commit failed for the same reason, and the handler returned its error
        Some(told) if told.is_told_as(&error) => error.silent_response(B::default()),
        _ => error.response(B::default()),
    };
    if let Some(inside) = inside {
        let lines = inside.0.iter().map(|line| (SET_COOKIE, line.clone()));
        response.headers_mut().extend(lines);
        response.extensions_mut().insert(inside);
    }
}

impl Error {
    /// The response for this error, which is an event. A visitor without a login is none.
    pub(crate) fn response<B>(self, body: B) -> Response<B> {
        if self.kind() != ErrorKind::NoOwner {
            Event::Failed(&self).emit(Metrics::of_process());
        }
        self.silent_response(body)
    }

    fn silent_response<B>(self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Ended) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(location) = self.location() {
            headers.insert(LOCATION, location.clone());
        }
        response.extensions_mut().insert(self);
        response
    }

    /// Whether the event of this error tells all that the event of `other` would.
    fn is_told_as(&self, other: &Self) -> bool {
        self.kind() == other.kind() && Chain(self).to_string() == Chain(other).to_string()
    }
}

fn append(headers: &mut HeaderMap, [ours, legacy]: Cookies) {
    // a loop over the array would copy both headers
    if let Some(line) = ours {
        headers.append(SET_COOKIE, line);
    }
    if let Some(line) = legacy {
        headers.append(SET_COOKIE, line);
    }
}

impl From<Change> for Exposure {
    fn from(change: Change) -> Self {
        match change {
            Change::LoggedIn => Self::Login,
            Change::Created | Change::Content | Change::Renewed => Self::Cookie,
        }
    }
}
