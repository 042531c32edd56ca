//! `same_site_path` against a URL parser as browsers have it, the crate `url` (WHATWG).

use axum::http::HeaderValue;
use proptest::prelude::*;
use tower_sealed_session::same_site_path;
use url::Url;

const SITE: &str = "https://shop.example/login?next=x";

fn resolved(next: &str) -> Option<Url> {
    Url::parse(SITE).expect("a URL").join(next).ok()
}

/// What an accepted path must be.
fn assert_safe(next: &str) {
    let url = resolved(next).expect("a URL");
    let origin = Url::parse(SITE).expect("a URL").origin();
    assert_eq!(url.origin(), origin, "{next:?} leads to {url}");
    // nothing was resolved or left out, so a server that reads it as text reads the same
    assert_eq!(url.path(), next.split(['?', '#']).next().expect("a path"));
    assert!(!url.path().starts_with("//"), "{next:?}");
    assert!(HeaderValue::from_str(next).is_ok());
}

#[test]
fn links_to_other_sites_are_refused() {
    let long = format!("/{}", "x".repeat(2048));
    let refused = [
        // nothing, or no path from the root
        "",
        " ",
        "evil.example",
        "me",
        "./me",
        "../me",
        "?next=/",
        "#/",
        ";/",
        ".",
        "..",
        // other sites
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "//evil.example/%2f..",
        "//evil.example:443/",
        "//user@evil.example",
        "//[::1]/",
        "//%65vil.example",
        "//",
        "https://evil.example",
        "https:evil.example",
        "https:/evil.example",
        "HTTPS://evil.example",
        "http://shop.example@evil.example",
        "ftp://evil.example",
        "https:///evil.example",
        // backslashes, which browsers read as slashes
        r"/\evil.example",
        r"/\/evil.example",
        r"\/evil.example",
        r"\\evil.example",
        r"\evil.example",
        r"/me\..\..//evil.example",
        r"/me?a=\",
        // tabs and line breaks, which browsers leave out
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "\t//evil.example",
        "\n/me",
        "/me\r\nset-cookie: a=1",
        "/me\r",
        "/me\n",
        "\u{0}/me",
        "/me\u{0}",
        "/\u{1f}/evil",
        "/\u{7f}",
        // white space at the beginning or the end, which browsers trim
        " //evil.example",
        "/me ",
        "/ /evil.example",
        "\u{a0}/me",
        "\u{feff}//evil.example",
        // schemes that run scripts or show data
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:https://evil.example/x",
        "file:///etc/passwd",
        "javascript://%0aalert(1)",
        // slashes of other alphabets
        "/\u{ff0f}evil.example",
        "\u{ff0f}\u{ff0f}evil.example",
        "/\u{2044}/evil",
        "/\u{2215}/evil",
        "/\u{3002}",
        "/tee/grün",
        // dot segments, encoded or not: `/..//host` is `//host` for a server that resolves text
        "/.//evil.example",
        "/..//evil.example",
        "/me/..//evil.example",
        "/me/../../evil.example",
        "/%2e//evil.example",
        "/%2E%2e//evil.example",
        "/.%2e//evil.example",
        "/a/%2e%2E/b",
        "/.",
        "/..",
        "/me/.",
        "/me/..",
        "/me/..?a=1",
        "/me/.#x",
        // what ends an attribute or begins a tag, if the login page forgets to escape it
        "/\"><script>",
        "/me?a=\"onload=x",
        "/me?<b>",
        // too long for a header
        &long,
    ];
    assert!(refused.len() > 80);
    for next in refused {
        assert_eq!(same_site_path(next), None, "{next:?}");
    }
}

#[test]
fn paths_of_this_site_are_accepted() {
    let long = format!("/{}", "x".repeat(2047));
    let accepted = [
        "/",
        "/me",
        "/me/",
        "/a/b/c",
        "/a//b",
        "/me//",
        "/me?",
        "/me?a=1&b=2",
        "/me#part",
        "/#//evil",
        "/?next=//evil.example",
        "/me?u=https://evil.example",
        "/me?..",
        "/me?/../x",
        "/me#/..",
        // encoded slashes and others stay encoded, so this is a path
        "/%2F/evil.example",
        "/%2f%2fevil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "/%0d%0aset-cookie:%20a=1",
        "/%00",
        "/%E2%80%AE",
        "/%",
        "/%zz",
        "/%252e%252e/x",
        // no authority, since it comes after a single slash
        "/evil.example",
        "/@evil.example",
        "/:80",
        "/:@evil.example/",
        "/https://evil.example",
        "/javascript:alert(1)",
        "/;//evil.example",
        "/.well-known/x",
        "/...",
        "/..a",
        "/a..",
        "/.a/..b",
        "/me?q=a+b&c=%26",
        "/~ada",
        "/a=b",
        "/me,(x)!*'$",
        "/[x]",
        "/{x}|^`",
        &long,
    ];
    assert!(accepted.len() > 40);
    for next in accepted {
        assert_eq!(same_site_path(next), Some(next), "{next:?}");
        let url = resolved(next).expect("a URL");
        assert_eq!(url.host_str(), Some("shop.example"), "{next:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    /// Parts of known attacks, in every order.
    #[test]
    fn what_is_accepted_stays_on_this_site(
        parts in proptest::collection::vec(
            prop::sample::select(&[
                "/", "/", "/", "\\", ".", "..", "%2e", "%2F", "%5c", "\t", "\n", "\r", " ", "@", ":", "?",
                "#", ";", "evil.example", "https:", "javascript:", "\u{ff0f}", "\u{0}", "[", "]", "%09", "a",
            ][..]),
            0..8,
        ),
        lead in prop::bool::ANY,
    ) {
        let next = format!("{}{}", if lead { "/" } else { "" }, parts.concat());
        if let Some(same) = same_site_path(&next) {
            assert_eq!(same, next);
            assert_safe(&next);
        }
    }
}
