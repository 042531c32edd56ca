//! Sets the cache headers of responses: a `Set-Cookie` alone does not prevent caching (RFC 9111).

use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, EXPIRES, VARY},
};

/// The reason why caching of a response is restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// The session was opened, so the response may be for this visitor only.
    Opened,
    /// The response carries our cookie.
    Cookie,
    /// The response begins or ends a login.
    Login,
}

/// Marks a response whose `private` was set by one of our layers, not by the application.
#[derive(Clone, Copy)]
struct OurPrivate;

/// Sets the cache headers of a response for which the session was opened. `nested` means that an
/// outer layer may set them again.
pub(crate) fn mark<B>(response: &mut Response<B>, exposure: Exposure, nested: bool) {
    let ours = response.extensions_mut().remove::<OurPrivate>().is_some();
    let headers = response.headers_mut();
    let (mut varies, mut unset, mut overridden) = (false, true, false);
    for (name, value) in &*headers {
        varies |= name == VARY && names_cookie(value);
        unset &= name != CACHE_CONTROL;
        overridden |= overrides_cache_control(name);
    }
    if !varies {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
    if exposure == Exposure::Opened {
        if unset {
            headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        if nested && (unset || ours) {
            response.extensions_mut().insert(OurPrivate);
        }
        return;
    }
    if overridden {
        remove_overrides(headers);
    }
    if exposure == Exposure::Login || unset || ours || !is_private(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Whether the response explicitly allows shared caches to store it.
pub(crate) fn is_public(headers: &HeaderMap) -> bool {
    has_directive(headers, &["public", "s-maxage", "immutable"]) && !is_private(headers)
}

/// Whether no shared cache stores the response. `no-cache` alone is not enough: a cache may store
/// the response, revalidate it, and send it to another visitor together with its `Set-Cookie`.
fn is_private(headers: &HeaderMap) -> bool {
    has_directive(headers, &["private", "no-store"])
        && !has_directive(headers, &["public", "s-maxage"])
}

/// Whether `Cache-Control` has one of these directives. A directive with field names, as in
/// `private="x-name"`, covers only those fields and does not count.
fn has_directive(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter();
    let mut directives = values.flat_map(|value| directives(value.as_bytes()));
    directives.any(|directive| {
        let mut halves = directive.splitn(2, |&b| b == b'=').map(<[u8]>::trim_ascii);
        let (name, value) = (
            halves.next().unwrap_or_default(),
            halves.next().unwrap_or_default(),
        );
        !value.starts_with(b"\"")
            && wanted
                .iter()
                .any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// Splits at commas outside quotes. In quotes, a backslash escapes the next byte (RFC 9110 §5.6.4).
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
        byte == b',' && !quoted
    })
}

/// Whether a line of `Vary` contains `Cookie` or `*`.
fn names_cookie(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}

/// Whether shared caches follow that header rather than `Cache-Control`.
fn overrides_cache_control(name: &HeaderName) -> bool {
    let text = name.as_str();
    name == EXPIRES
        || text == "surrogate-control"
        || text == "cdn-cache-control"
        || text.ends_with("-cdn-cache-control")
}

fn remove_overrides(headers: &mut HeaderMap) {
    let overrides = headers.keys().filter(|name| overrides_cache_control(name));
    for name in overrides.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(
        before: &[(&'static str, &'static str)],
        exposure: Exposure,
    ) -> Vec<(String, String)> {
        let mut response = Response::new(());
        for (name, value) in before {
            response
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        mark(&mut response, exposure, false);
        let pairs = response
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_str().expect("ASCII").to_owned()));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort();
        pairs
    }

    fn cache_control(before: &'static str, exposure: Exposure) -> String {
        let pairs = marked(&[("cache-control", before)], exposure);
        pairs
            .into_iter()
            .find(|(name, _)| name == "cache-control")
            .expect("one")
            .1
    }

    #[test]
    fn vary_is_merged() {
        for (before, after) in [
            (&[][..], vec!["Cookie"]),
            (&[("vary", "Accept")], vec!["Accept", "Cookie"]),
            (&[("vary", "Accept, cookie")], vec!["Accept, cookie"]),
            (&[("vary", "*")], vec!["*"]),
            (
                &[("vary", "Accept"), ("vary", "COOKIE")],
                vec!["Accept", "COOKIE"],
            ),
            (&[("vary", "Cookies")], vec!["Cookie", "Cookies"]),
        ] {
            let pairs = marked(before, Exposure::Opened);
            let vary: Vec<_> = pairs
                .iter()
                .filter(|(n, _)| n == "vary")
                .map(|(_, v)| v)
                .collect();
            assert_eq!(vary, after, "{before:?}");
        }
    }

    #[test]
    fn the_applications_cache_control_is_kept_unless_our_cookie_is_sent() {
        use Exposure::{Cookie, Login, Opened};
        for (before, opened, cookie, login) in [
            (
                "public, max-age=60",
                "public, max-age=60",
                "no-store",
                "no-store",
            ),
            ("max-age=60", "max-age=60", "no-store", "no-store"),
            (
                "private, max-age=60",
                "private, max-age=60",
                "private, max-age=60",
                "no-store",
            ),
            ("no-cache", "no-cache", "no-store", "no-store"),
            (
                "public, no-cache",
                "public, no-cache",
                "no-store",
                "no-store",
            ),
            ("private, public", "private, public", "no-store", "no-store"),
            (
                "a=\"x, private, y\", max-age=60",
                "a=\"x, private, y\", max-age=60",
                "no-store",
                "no-store",
            ),
            (
                "a=\"\\\", private, \\\"\"",
                "a=\"\\\", private, \\\"\"",
                "no-store",
                "no-store",
            ),
            (
                "a=\"\\\\\", private",
                "a=\"\\\\\", private",
                "a=\"\\\\\", private",
                "no-store",
            ),
            (
                "a=\"x, y\", private",
                "a=\"x, y\", private",
                "a=\"x, y\", private",
                "no-store",
            ),
            ("Private", "Private", "Private", "no-store"),
            ("no-store", "no-store", "no-store", "no-store"),
            (
                "private=\"x-name\"",
                "private=\"x-name\"",
                "no-store",
                "no-store",
            ),
            (
                "no-cache=\"set-cookie\"",
                "no-cache=\"set-cookie\"",
                "no-store",
                "no-store",
            ),
        ] {
            assert_eq!(cache_control(before, Opened), opened);
            assert_eq!(cache_control(before, Cookie), cookie, "{before}");
            assert_eq!(cache_control(before, Login), login);
        }
        assert_eq!(
            marked(&[], Opened),
            [
                ("cache-control".to_owned(), "private".to_owned()),
                ("vary".to_owned(), "Cookie".to_owned())
            ]
        );
    }

    #[test]
    fn headers_for_shared_caches_are_removed_when_our_cookie_is_sent() {
        let before = [
            ("cache-control", "private"),
            ("cdn-cache-control", "max-age=60"),
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("surrogate-control", "max-age=60"),
        ];
        assert_eq!(marked(&before, Exposure::Cookie).len(), 2);
        assert_eq!(marked(&before, Exposure::Opened).len(), 6);
    }

    #[test]
    fn public_responses_are_detected() {
        let public = |value| {
            is_public(&HeaderMap::from_iter([(
                CACHE_CONTROL,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(public("public") && public("max-age=1, s-maxage=60") && public("immutable"));
        assert!(!public("max-age=60") && !public("private") && !public("no-store"));
        assert!(!public("private, immutable"));
    }
}
