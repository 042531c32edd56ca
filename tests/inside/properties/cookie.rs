//! Cookies in requests and responses, and the headers for caches.

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, VARY},
};
use proptest::{collection::vec, prelude::*, sample::select};
use tower_cookies::{Cookie, cookie::SameSite};

use super::{bytes, config};
use crate::{
    cookie::{Attributes, CookieName, Prefix, Template, cache, cache::Exposure, scan},
    fuzz,
};

/// A part of a cookie header. Some parts resemble the cookie's name.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: [&[u8]; 26] = [
        b"__Host-Http-session",
        b"__host-session",
        b"%5F%5FHost-session",
        b"__Host-",
        b"session",
        b"a",
        b"!",
        b"=",
        b"=",
        b"=",
        b";",
        b";",
        b"; ",
        b",",
        b" ",
        b"\t",
        b"\"",
        b"\\",
        b"$Version=1",
        b"AY",
        b"\xc2\x85",
        b"\xc2\xa0",
        b"\xe2\x80\x80",
        b"\xff",
        b"\x0b",
        b"\x00",
    ];
    prop_oneof![8 => select(known.to_vec()).prop_map(<[u8]>::to_vec), 1 => bytes(0..4)]
}

fn line(fragments: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(fragment(), fragments).prop_map(|fragments| fragments.concat())
}

/// The directives of `Cache-Control` in lower case. Quoted strings are not supported.
fn directives(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let lines = lines.map(|value| value.to_str().expect("ASCII").to_ascii_lowercase());
    let all = lines.collect::<Vec<_>>().join(",");
    let names = all.split(',').map(|directive| directive.trim().to_owned());
    names.filter(|directive| !directive.is_empty()).collect()
}

/// Whether a shared cache may store a response with these headers (RFC 9111 §3, §5.2.2). Directives
/// with a list of field names are not supported.
fn shared_caches_may_store(headers: &HeaderMap) -> bool {
    let all = directives(headers);
    !all.iter()
        .any(|directive| directive == "private" || directive == "no-store")
}

/// Values of `Cache-Control` without quotes.
fn cache_control() -> impl Strategy<Value = String> {
    let known = [
        "public",
        "private",
        "no-store",
        "no-cache",
        "max-age=60",
        "s-maxage=60",
        "immutable",
        "Private",
        "PUBLIC",
        "must-revalidate",
        "stale-while-revalidate=9",
        "privately",
        "no-storex",
        "",
    ];
    vec(
        (select(known.to_vec()), select(vec![",", ", ", " ,"])),
        0..5,
    )
    .prop_map(|parts| {
        parts
            .iter()
            .map(|(part, comma)| format!("{part}{comma}"))
            .collect()
    })
}

fn response(name: http::HeaderName, values: &[String]) -> Response<()> {
    let mut response = Response::new(());
    for value in values {
        let value = HeaderValue::from_str(value).expect("ASCII");
        response.headers_mut().append(name.clone(), value);
    }
    response
}

fn exposure() -> impl Strategy<Value = Exposure> {
    select(vec![Exposure::Opened, Exposure::Cookie, Exposure::Login])
}

prop_compose! {
    fn attributes()(
        path in "/[!-:<-~]{0,20}", domain in proptest::option::of("[a-z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,2}"),
        same_site in select(vec![SameSite::Lax, SameSite::Strict, SameSite::None]),
        secure: bool, partitioned: bool,
    ) -> Attributes {
        // the builder makes partitioned cookies secure too
        Attributes { path, domain, same_site, secure: secure || partitioned, partitioned }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_scan_matches_its_rule(which: u8, line in line(0..24)) {
        fuzz::cookie_header(&[&[which], &line[..]].concat());
    }

    #[test]
    fn other_cookies_do_not_hide_ours(before in line(0..12), value in bytes(0..8), after in line(0..12)) {
        let ours: Vec<u8> = value.into_iter().filter(|byte| !b"; \t".contains(byte)).collect();
        let line = [&before, &b";__Host-Http-session="[..], &ours, b";", &after].concat();
        let found: Vec<_> = scan::values(&line, "__Host-Http-session").collect();
        let first = scan::values(&before, "__Host-Http-session").count();
        let last = scan::values(&after, "__Host-Http-session").count();
        prop_assert_eq!(found.len(), first + 1 + last);
        prop_assert_eq!(found[first], &ours[..]);
    }

    #[test]
    fn quotes_around_a_token_change_nothing(before in line(0..12), token in "[A-Za-z0-9_-]{0,40}", after in line(0..12)) {
        let with = |value: &str| {
            let pair = format!(";__Host-Http-session={value};");
            [&before[..], pair.as_bytes(), &after].concat()
        };
        let (plain, quoted) = (with(&token), with(&format!("\"{token}\"")));
        let tokens = |line| scan::tokens(line, "__Host-Http-session").collect::<Vec<_>>();
        prop_assert_eq!(tokens(&plain), tokens(&quoted));
    }

    #[test]
    fn cookie_names_are_tokens(name in "[!-~]{0,12}|\\PC{0,6}", long in 0..130_usize) {
        let name = name + &"n".repeat(long);
        let letters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let whole = format!("__Secure-{name}");
        let valid = !name.is_empty() && whole.len() <= 128 && whole.chars().all(|c| letters.contains(c));
        let made = CookieName::new(Prefix::Secure, &name);
        prop_assert_eq!(made.as_ref().map(CookieName::as_str), valid.then_some(&*whole));
    }

    /// The parser is from the crate that also wrote the attributes. `tests/it/set_cookie.rs` uses
    /// other parsers.
    #[test]
    fn set_cookie_lines_parse_to_the_chosen_attributes(
        attributes in attributes(), value in "[A-Za-z0-9_-]{0,200}", max_age in proptest::option::of(any::<u32>()),
    ) {
        let name = CookieName::new(Prefix::None, "sid").expect("a name");
        let template = Template::new(name, &attributes);
        let write = |out: &mut Vec<u8>| out.extend_from_slice(value.as_bytes());
        let set = template.set(value.len(), write, max_age.map(u64::from));
        let removal = template.remove();
        let age = max_age.map(|seconds| time::Duration::seconds(seconds.into()));
        for (header, value, age) in [(set, &*value, age), (removal, "", Some(time::Duration::ZERO))] {
            prop_assert!(header.is_sensitive());
            let cookie = Cookie::parse(header.to_str().expect("ASCII")).expect("a cookie");
            prop_assert_eq!(cookie.name_value(), ("sid", value));
            prop_assert_eq!(cookie.max_age(), age);
            prop_assert_eq!(cookie.path(), Some(&*attributes.path));
            prop_assert_eq!(cookie.domain(), attributes.domain.as_deref());
            prop_assert_eq!(cookie.same_site(), Some(attributes.same_site));
            prop_assert_eq!(cookie.http_only(), Some(true));
            prop_assert_eq!(cookie.secure().unwrap_or(false), attributes.secure);
            prop_assert_eq!(cookie.partitioned().unwrap_or(false), attributes.partitioned);
        }
    }

    #[test]
    fn shared_caches_do_not_store_our_cookies(values in vec(cache_control(), 0..3), exposure in exposure()) {
        let mut response = response(CACHE_CONTROL, &values);
        cache::mark(&mut response, exposure, false);
        if exposure != Exposure::Opened {
            prop_assert!(!shared_caches_may_store(response.headers()));
        }
    }

    /// All directives of the application are kept, and at most `private` is added.
    #[test]
    fn shared_caches_store_an_opened_session_only_if_the_application_says_so(values in vec(cache_control(), 0..3)) {
        let mut response = response(CACHE_CONTROL, &values);
        let before = directives(response.headers());
        cache::mark(&mut response, Exposure::Opened, false);
        let mut after = directives(response.headers());
        let says = |names: &[&str]| before.iter().any(|said| names.contains(&&**said));
        if !says(&["public", "s-maxage=60", "private", "no-store"]) {
            prop_assert_eq!(after.remove(0), "private");
        }
        prop_assert_eq!(after, before);
    }

    /// Names that the handler set are kept.
    #[test]
    fn responses_of_opened_sessions_vary_by_cookie(
        values in vec("(, ?|Accept|cookie|COOKIE|Origin|cookies|X-Cookie|\\*){0,5}", 0..3), exposure in exposure(),
    ) {
        let mut response = response(VARY, &values);
        let names = |headers: &HeaderMap| -> Vec<String> {
            let lines = headers.get_all(VARY).iter();
            let text: Vec<_> = lines.map(|value| value.to_str().expect("ASCII").to_lowercase()).collect();
            let names = text.iter().flat_map(|value| value.split(',')).map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect()
        };
        let mut wanted = names(response.headers());
        if !wanted.iter().any(|name| name == "cookie" || name == "*") {
            wanted.push("cookie".to_owned());
        }
        cache::mark(&mut response, exposure, false);
        prop_assert_eq!(names(response.headers()), wanted);
    }
}
