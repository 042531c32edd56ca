//! What caches on the way are told. RFC 9111: a `Set-Cookie` alone does not prevent caching.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES, VARY},
};

/// How far a response may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// The session was opened: other visitors get other answers.
    Opened,
    /// It carries our cookie.
    Cookie,
    /// It begins or ends a login.
    Login,
}

/// Marks a response for which the session was opened.
pub(crate) fn mark(headers: &mut HeaderMap, exposure: Exposure) {
    vary_by_cookie(headers);
    match exposure {
        Exposure::Opened => {
            if !headers.contains_key(CACHE_CONTROL) {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            }
        }
        Exposure::Cookie if is_private(headers) => remove_shared(headers),
        Exposure::Cookie | Exposure::Login => {
            remove_shared(headers);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

/// Whether shared caches are invited to keep the response.
pub(crate) fn is_public(headers: &HeaderMap) -> bool {
    has_directive(headers, &["public", "s-maxage", "immutable"]) && !is_private(headers)
}

fn is_private(headers: &HeaderMap) -> bool {
    has_directive(headers, &["private", "no-cache", "no-store"])
}

/// A directive with field names, as in `private="x-name"`, covers only those fields, and does not count.
fn has_directive(headers: &HeaderMap, wanted: &[&str]) -> bool {
    directives(headers).any(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim_start());
        !value.starts_with('"')
            && wanted
                .iter()
                .any(|wanted| name.eq_ignore_ascii_case(wanted))
    })
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(CACHE_CONTROL)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

fn vary_by_cookie(headers: &mut HeaderMap) {
    let varies = headers.get_all(VARY).into_iter().any(|value| {
        value
            .as_bytes()
            .split(|&b| b == b',')
            .map(<[u8]>::trim_ascii)
            .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
    });
    if !varies {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

/// Takes away what overrides `Cache-Control` for shared caches.
fn remove_shared(headers: &mut HeaderMap) {
    headers.remove(EXPIRES);
    let overrides: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name == "surrogate-control"
                || name == "cdn-cache-control"
                || name.ends_with("-cdn-cache-control")
        })
        .cloned()
        .collect();
    for name in overrides {
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
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        mark(&mut headers, exposure);
        let pairs = headers
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
    fn what_the_application_said_stands_unless_our_cookie_travels() {
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
            ("No-Cache", "No-Cache", "No-Cache", "no-store"),
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
    fn headers_for_shared_caches_go_when_our_cookie_travels() {
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
    fn public_responses_are_known() {
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
