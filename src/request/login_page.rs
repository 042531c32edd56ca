//! The page to which visitors without a login are sent.

use http::HeaderValue;

use crate::same_site::same_site_path;

/// A longer `next` is left out, since proxies refuse responses with long headers.
const LONGEST: usize = 2048;

/// The path of the app's login page.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LoginPage(Box<str>);

impl LoginPage {
    /// `None` if it is not a path on this site, or has a fragment.
    pub(crate) fn new(path: &str) -> Option<Self> {
        let path = same_site_path(path).filter(|path| !path.contains('#'))?;
        Some(Self(path.into()))
    }

    /// Whether that path leads to it.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.0.split('?').next() == Some(path)
    }

    /// The value of `Location`, for a visitor who wants to return to that path and query.
    pub(super) fn location(&self, wanted: Option<&str>) -> Option<HeaderValue> {
        let mut location = self.0.to_string();
        let next = wanted.map(encode);
        if let Some(next) = next.filter(|next| next.len() <= LONGEST) {
            location.push(if location.contains('?') { '&' } else { '?' });
            location += "next=";
            location += &next;
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(location)).ok()
    }
}

/// Percent-encodes a value of a query. A `/` may stay (RFC 3986 §3.4).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}
