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
        let added = unset || !Said::by(headers).names_an_audience();
        if added {
            add_private(headers);
        }
        if nested && (added || ours) {
            response.extensions_mut().insert(OurPrivate);
        }
        return;
    }
    if overridden {
        remove_overrides(headers);
    }
    if exposure == Exposure::Login || unset || ours || !Said::by(headers).is_private() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Whether a mere refresh must not make the response `no-store`: shared caches may store it, or
/// browsers should keep it for long.
pub(crate) fn is_public(headers: &HeaderMap) -> bool {
    let said = Said::by(headers);
    said.public || said.immutable && !said.private
}

/// The directives of `Cache-Control` that say who may store the response.
#[derive(Default)]
struct Said {
    /// `public` or `s-maxage`.
    public: bool,
    /// `private` or `no-store`, each for the whole response.
    private: bool,
    immutable: bool,
}

impl Said {
    fn by(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        let values = headers.get_all(CACHE_CONTROL).into_iter();
        for directive in values.flat_map(|value| directives(value.as_bytes())) {
            let mut halves = directive.splitn(2, |&b| b == b'=').map(<[u8]>::trim_ascii);
            let name = halves.next().unwrap_or_default();
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            // `private="x-name"` covers only that field (RFC 9111 §5.2.2.7)
            let whole = halves.next().is_none();
            said.private |= whole && (is("private") || is("no-store"));
            said.public |= is("public") || is("s-maxage");
            said.immutable |= is("immutable");
        }
        said
    }

    /// `max-age` or `no-cache` alone is not enough: a shared cache may store the response, and it
    /// may ignore `Vary`.
    fn names_an_audience(&self) -> bool {
        self.public || self.private
    }

    /// Whether no shared cache stores the response. `no-cache` alone is not enough: a cache may
    /// store the response, revalidate it, and send it to another visitor together with its
    /// `Set-Cookie`.
    fn is_private(&self) -> bool {
        self.private && !self.public
    }
}

/// Puts `private` first, where a quoted string without an end cannot hide it.
fn add_private(headers: &mut HeaderMap) {
    let empty = || HeaderValue::from_static("");
    let said = headers.entry(CACHE_CONTROL).or_insert_with(empty);
    *said = match said.is_empty() {
        true => HeaderValue::from_static("private"),
        false => {
            let both = [b"private, ", said.as_bytes()].concat();
            HeaderValue::from_bytes(&both).expect("both are header values")
        }
    };
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
    fn the_applications_cache_control_is_kept_as_far_as_it_is_safe() {
        use Exposure::{Cookie, Login, Opened};
        // after a read, and with our cookie; with a login it is always `no-store`
        for (before, opened, cookie) in [
            ("public, max-age=60", "public, max-age=60", "no-store"),
            ("s-maxage=\"60\"", "s-maxage=\"60\"", "no-store"),
            ("public, no-cache", "public, no-cache", "no-store"),
            ("private, public", "private, public", "no-store"),
            (
                "private, max-age=60",
                "private, max-age=60",
                "private, max-age=60",
            ),
            ("Private", "Private", "Private"),
            ("no-store", "no-store", "no-store"),
            (
                "a=\"\\\\\", private",
                "a=\"\\\\\", private",
                "a=\"\\\\\", private",
            ),
            (
                "a=\"x, y\", private",
                "a=\"x, y\", private",
                "a=\"x, y\", private",
            ),
            ("max-age=60", "private, max-age=60", "no-store"),
            ("no-cache", "private, no-cache", "no-store"),
            ("must-revalidate", "private, must-revalidate", "no-store"),
            ("immutable", "private, immutable", "no-store"),
            ("", "private", "no-store"),
            (
                "a=\"x, private, y\", max-age=60",
                "private, a=\"x, private, y\", max-age=60",
                "no-store",
            ),
            (
                "a=\"\\\", private, \\\"\"",
                "private, a=\"\\\", private, \\\"\"",
                "no-store",
            ),
            // the string has no end, so a cache reads the rest as part of it
            ("a=\"x, private", "private, a=\"x, private", "no-store"),
            (
                "private=\"x-name\"",
                "private, private=\"x-name\"",
                "no-store",
            ),
            ("private=x-name", "private, private=x-name", "no-store"),
            ("no-store=x", "private, no-store=x", "no-store"),
            (
                "no-cache=\"set-cookie\"",
                "private, no-cache=\"set-cookie\"",
                "no-store",
            ),
        ] {
            assert_eq!(cache_control(before, Opened), opened);
            assert_eq!(cache_control(before, Cookie), cookie, "{before}");
            assert_eq!(cache_control(before, Login), "no-store");
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
    fn private_is_added_once_to_several_lines() {
        let lines = |before: &[&'static str]| -> Vec<String> {
            let before: Vec<_> = before.iter().map(|line| ("cache-control", *line)).collect();
            let after = marked(&before, Exposure::Opened).into_iter();
            let lines = after.filter(|(name, _)| name == "cache-control");
            lines.map(|(_, value)| value).collect()
        };
        assert_eq!(
            lines(&["max-age=60", "must-revalidate"]),
            ["must-revalidate", "private, max-age=60"]
        );
        for kept in [
            ["max-age=60", "private"],
            ["max-age=60", "public"],
            ["max-age=60", "no-store"],
        ] {
            assert_eq!(lines(&kept), kept);
        }
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
        assert!(public("private, public") && public("s-maxage=\"60\""));
        assert!(!public("max-age=60") && !public("private") && !public("no-store"));
        assert!(!public("private, immutable"));
    }
}
