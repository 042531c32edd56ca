//! What a layer with a check or a login page keeps of a request.

use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{ACCEPT, HeaderName},
    request::Parts,
};

use super::{check::Verdict, config::Config, login_page::LoginPage};
use crate::same_site::same_site_path;

/// Browsers say in it what they need the response for (Fetch Metadata).
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A request as it came to the layer, before routers change its path.
pub(super) struct Visit {
    /// Method and URI. With a check, also headers and extensions.
    pub(super) parts: Parts,
    /// What the check has answered.
    pub(super) verdict: Verdict,
    /// Whether a browser asks for a page to show.
    navigates: bool,
}

impl Visit {
    /// `None`: the layer needs nothing of it.
    pub(super) fn of<B>(config: &Config, request: &Request<B>) -> Option<Box<Self>> {
        if config.check.is_none() && config.login_page.is_none() {
            return None;
        }
        let mut visit = Self::empty();
        visit.navigates = navigates(request.headers());
        let parts = &mut visit.parts;
        parts.method = request.method().clone();
        parts.uri = request.uri().clone();
        parts.version = request.version();
        if config.check.is_some() {
            parts.headers = request.headers().clone();
            parts.extensions = request.extensions().clone();
        }
        Some(visit)
    }

    /// The same of a request of which only these headers are known.
    pub(super) fn of_headers(config: &Config, headers: &HeaderMap) -> Option<Box<Self>> {
        config.check.as_ref()?;
        let mut visit = Self::empty();
        visit.parts.headers = headers.clone();
        Some(visit)
    }

    fn empty() -> Box<Self> {
        let (parts, ()) = Request::new(()).into_parts();
        Box::new(Self {
            parts,
            verdict: Verdict::default(),
            navigates: false,
        })
    }

    /// The value of `Location` that sends the visitor to the login page. `None` if it is not a
    /// navigation, or if it asks for the login page itself, which would lead there forever.
    pub(super) fn to_login(&self, page: &LoginPage) -> Option<HeaderValue> {
        if !self.navigates || page.is_at(self.parts.uri.path()) {
            return None;
        }
        page.location(self.wanted())
    }

    /// The path and query to which the visitor can return after a login.
    fn wanted(&self) -> Option<&str> {
        let reads = matches!(self.parts.method, Method::GET | Method::HEAD);
        let path = self.parts.uri.path_and_query().filter(|_| reads)?;
        same_site_path(path.as_str())
    }
}

/// Browsers that send no `Sec-Fetch-Mode`, such as those over plain HTTP, accept HTML for pages.
fn navigates(headers: &HeaderMap) -> bool {
    if let Some(mode) = headers.get(SEC_FETCH_MODE) {
        return mode == "navigate";
    }
    let accepts_html = |value: &[u8]| {
        let mut words = value.windows("text/html".len());
        words.any(|word| word.eq_ignore_ascii_case(b"text/html"))
    };
    let mut accepted = headers.get_all(ACCEPT).iter();
    accepted.any(|value| accepts_html(value.as_bytes()))
}
