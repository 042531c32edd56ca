//! Paths to which a response may lead: where a visitor goes after the login.

/// A longer path may not fit in the headers of a response.
const MAX_LEN: usize = 2048;

/// Returns `next` if it is a path on this site, so that a response can lead to it.
///
/// A login page gets the wanted path in its query, where anyone can write anything. If a login
/// handler trusts it, a link to the login page leads to another site after the login (an open
/// redirect).
///
/// ```
/// use axum::{extract::Query, response::Redirect};
/// use tower_sealed_session::{Error, Session, same_site_path};
///
/// #[derive(serde::Deserialize)]
/// struct Next { next: String }
///
/// async fn log_in(session: Session, Query(to): Query<Next>) -> Result<Redirect, Error> {
///     session.login("ada")?;
///     Ok(Redirect::to(same_site_path(&to.next).unwrap_or("/")))
/// }
///
/// assert_eq!(same_site_path("/orders?page=2"), Some("/orders?page=2"));
/// assert_eq!(same_site_path("//evil.example"), None);
/// assert_eq!(same_site_path(r"/\evil.example"), None);
/// assert_eq!(same_site_path("https://evil.example"), None);
/// ```
///
/// It begins with one `/` and has at most 2048 characters, which are visible ASCII characters other
/// than `"`, `<`, `>` and `\`. No part of the path is `.` or `..`, encoded or not. Browsers send
/// only such paths: they encode other characters, and resolve `..`. If you write it into a page,
/// escape it for HTML.
///
/// # Security
///
/// It says nothing about what is at that path. If a page of this site leads to any URL in its own
/// query, `next` can name that page.
#[must_use]
pub fn same_site_path(next: &str) -> Option<&str> {
    // browsers read `\` as `/`, and leave out tabs and line breaks
    let is_plain = |byte: u8| matches!(byte, b'!'..=b'~') && !br#""<>\"#.contains(&byte);
    let rest = next.strip_prefix('/')?;
    let fits = next.len() <= MAX_LEN && next.bytes().all(is_plain);
    // `/..//host` becomes `//host` if a server resolves it as text
    (fits && !rest.starts_with('/') && !has_dots(rest)).then_some(next)
}

/// Whether a part of the path is `.` or `..`. Browsers also resolve encoded ones (WHATWG URL,
/// double-dot path segment).
fn has_dots(rest: &str) -> bool {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".."
    })
}
