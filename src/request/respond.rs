//! Writing the outcome of a commit into the response. No other code writes its headers.

use http::{HeaderMap, HeaderValue, Response, header::SET_COOKIE};

use crate::{
    cookie::cache::{self, Exposure},
    error::Error,
    event::Event,
    session::Change,
};

/// What a commit adds to the response.
pub(crate) struct Reply {
    exposure: Exposure,
    cookies: Cookies,
    /// Emitted after the cookies were added.
    event: Option<Event<'static>>,
    /// Replaces the response.
    error: Option<Error>,
}

/// The `Set-Cookie` headers: ours, and that of the legacy cookie.
pub(super) type Cookies = [Option<HeaderValue>; 2];

impl Reply {
    /// The session was opened, and no cookie changes.
    pub(super) fn unchanged() -> Self {
        Self {
            exposure: Exposure::Opened,
            cookies: [None, None],
            event: None,
            error: None,
        }
    }

    pub(super) fn cookies(
        exposure: Exposure,
        cookies: Cookies,
        event: Option<Event<'static>>,
    ) -> Self {
        Self {
            exposure,
            cookies,
            event,
            error: None,
        }
    }

    /// The session could not be saved. The cookies are set all the same.
    pub(super) fn error(error: Error, cookies: Cookies) -> Self {
        Self {
            exposure: Exposure::Login,
            cookies,
            event: None,
            error: Some(error),
        }
    }

    /// Writes the reply into the response. `nested`: there is a layer of another name around this one.
    pub(super) fn write<B: Default>(self, response: &mut Response<B>, nested: bool) {
        if let Some(error) = self.error {
            Event::Failed(error.kind()).emit();
            replace(response, error);
            append(response.headers_mut(), self.cookies);
            return;
        }
        let set = nested && self.exposure != Exposure::Opened;
        let passed_on = set.then(|| self.cookies.clone());
        append(response.headers_mut(), self.cookies);
        if let Some(event) = self.event {
            event.emit();
        }
        cache::mark(response, self.exposure, nested);
        if let Some(cookies) = passed_on {
            let inside = response
                .extensions_mut()
                .get_or_insert_default::<SetInside>();
            inside.0.extend(cookies.into_iter().flatten());
        }
    }
}

/// The cookies that layers of other names have set inside this one, in the response's extensions. They
/// stay when this layer replaces the response, since the sessions inside are renewed or ended already.
#[derive(Clone, Default)]
struct SetInside(Vec<HeaderValue>);

/// Replaces the whole response: it may show a session that could not be saved.
fn replace<B: Default>(response: &mut Response<B>, error: Error) {
    let inside = response.extensions_mut().remove::<SetInside>();
    *response = error.onto(Response::new(B::default()));
    if let Some(inside) = inside {
        let lines = inside.0.iter().map(|line| (SET_COOKIE, line.clone()));
        response.headers_mut().extend(lines);
        response.extensions_mut().insert(inside);
    }
}

fn append(headers: &mut HeaderMap, cookies: Cookies) {
    for line in cookies.into_iter().flatten() {
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
