//! Cache headers: every way to read or change a session, with every kind of response.

use std::{collections::BTreeSet, path::Path, time::Duration};

use axum::{
    Router,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL},
    routing::get,
};
use futures_util::FutureExt as _;
use tower_sealed_session::{Error, Session, SessionLayer, testing};

use crate::support::{get_with, keys, layer, on_a_clock};

/// The effect of a method on the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The session was opened and not changed.
    Look,
    /// The response sets or removes our cookie.
    Cookie,
    /// A login begins or ends.
    Login,
}

use Effect::{Cookie, Login, Look};

type Act = fn(&Session, &Extensions);

/// Method, its effect on a visitor with a session (owner `ada`, entry `a` = 1), and its effect on a
/// visitor without one.
const METHODS: [(&str, Effect, Effect, Act); 40] = [
    ("from_extensions", Look, Look, |_, extensions| {
        let again = Session::from_extensions(extensions).now_or_never();
        again.expect("at once").expect("the same");
    }),
    ("named", Look, Look, |_, extensions| {
        let named = Session::named(extensions, "__Host-Http-session").now_or_never();
        named.expect("at once").expect("the same");
    }),
    ("named", Look, Look, |_, extensions| {
        let missing = Session::named(extensions, "missing").now_or_never();
        missing.expect("at once").expect_err("no such layer");
    }),
    ("fmt", Look, Look, |s, _| drop(format!("{s:?}"))),
    ("clone", Look, Look, |s, _| drop(s.clone())),
    ("get", Look, Look, |s, _| drop(s.get::<u8>("a"))),
    ("get", Look, Look, |s, _| drop(s.get::<u8>("missing"))),
    ("get", Look, Look, |s, _| drop(s.get::<String>("a"))),
    ("read", Look, Look, |s, _| {
        drop(s.read::<serde_json::Value>());
    }),
    ("read", Look, Look, |s, _| drop(s.read::<u8>())),
    ("contains_key", Look, Look, |s, _| {
        s.contains_key("missing");
    }),
    ("keys", Look, Look, |s, _| drop(s.keys())),
    ("len", Look, Look, |s, _| {
        s.len();
    }),
    ("is_empty", Look, Look, |s, _| {
        s.is_empty();
    }),
    ("id", Look, Look, |s, _| drop(s.id())),
    ("created_at", Look, Look, |s, _| {
        s.created_at();
    }),
    ("expires_at", Look, Look, |s, _| {
        s.expires_at();
    }),
    ("passive", Look, Look, |s, _| s.passive()),
    ("logged_in_within", Look, Look, |s, _| {
        s.logged_in_within(Duration::MAX);
    }),
    ("owner", Look, Look, |s, _| drop(s.owner())),
    ("still_valid", Look, Look, |s, _| {
        s.still_valid()
            .now_or_never()
            .expect("at once")
            .expect("a clock");
    }),
    ("commit", Look, Look, |s, _| {
        s.commit()
            .now_or_never()
            .expect("at once")
            .expect("in time");
    }),
    ("adopt_imported", Look, Look, |s, _| adopt_imported(s)),
    ("insert", Look, Cookie, |s, _| fine(s.insert("a", 1))),
    ("insert", Cookie, Cookie, |s, _| fine(s.insert("a", 2))),
    ("insert", Look, Look, |s, _| {
        s.insert("a", "x".repeat(5000)).expect_err("too large");
    }),
    ("update", Look, Cookie, |s, _| {
        fine(s.update("a", |_| 1).map(drop))
    }),
    ("update", Cookie, Cookie, |s, _| {
        fine(s.update("b", |_| 1).map(drop))
    }),
    ("write", Look, Cookie, |s, _| {
        fine(s.write(&[("a", 1)].into_iter().collect::<Map>()))
    }),
    ("write", Cookie, Cookie, |s, _| {
        fine(s.write(&[("b", 1)].into_iter().collect::<Map>()))
    }),
    ("remove", Look, Look, |s, _| {
        s.remove("missing");
    }),
    ("remove", Cookie, Look, |s, _| {
        s.remove("a");
    }),
    ("take", Look, Look, |s, _| drop(s.take::<u8>("missing"))),
    ("take", Look, Look, |s, _| drop(s.take::<String>("a"))),
    ("take", Cookie, Look, |s, _| drop(s.take::<u8>("a"))),
    ("clear", Cookie, Look, |s, _| s.clear()),
    ("renew", Cookie, Look, |s, _| s.renew()),
    ("remember", Cookie, Look, |s, _| {
        s.remember(Duration::from_secs(3600))
    }),
    ("login", Login, Login, |s, _| fine(s.login("eve"))),
    ("logout", Login, Login, |s, _| s.logout()),
];

type Map = std::collections::BTreeMap<&'static str, u8>;

fn fine(result: Result<(), Error>) {
    result.expect("the change is valid");
}

/// Headers of the application's response, and the expected headers after the layer.
struct Kind {
    said: &'static [(&'static str, &'static str)],
    /// `Cache-Control` after a read.
    look: &'static [&'static str],
    /// `Cache-Control` with our cookie.
    cookie: &'static [&'static str],
    vary: &'static [&'static str],
    /// Shared caches may store it, or it is `immutable`: no refresh is sent with it.
    public: bool,
}

const NO_STORE: &[&str] = &["no-store"];
const COOKIE: &[&str] = &["Cookie"];

const fn kind(
    said: &'static [(&'static str, &'static str)],
    look: &'static [&'static str],
) -> Kind {
    Kind {
        said,
        look,
        cookie: NO_STORE,
        vary: COOKIE,
        public: false,
    }
}

const fn public(
    said: &'static [(&'static str, &'static str)],
    look: &'static [&'static str],
) -> Kind {
    Kind {
        public: true,
        ..kind(said, look)
    }
}

/// A response that already forbids shared caching.
const fn private(
    said: &'static [(&'static str, &'static str)],
    look: &'static [&'static str],
) -> Kind {
    Kind {
        cookie: look,
        ..kind(said, look)
    }
}

const fn varying(
    said: &'static [(&'static str, &'static str)],
    vary: &'static [&'static str],
) -> Kind {
    Kind {
        vary,
        ..kind(said, &["private"])
    }
}

const KINDS: [Kind; 30] = [
    kind(&[], &["private"]),
    kind(&[("cache-control", "max-age=60")], &["private, max-age=60"]),
    kind(&[("cache-control", "no-cache")], &["private, no-cache"]),
    kind(
        &[("cache-control", "must-revalidate")],
        &["private, must-revalidate"],
    ),
    kind(
        &[("cache-control", "privately, no-storex")],
        &["private, privately, no-storex"],
    ),
    kind(
        &[("cache-control", "private=\"x-name\"")],
        &["private, private=\"x-name\""],
    ),
    kind(
        &[("cache-control", "private=x-name")],
        &["private, private=x-name"],
    ),
    kind(
        &[("cache-control", "no-cache=\"set-cookie\"")],
        &["private, no-cache=\"set-cookie\""],
    ),
    kind(
        &[("cache-control", "a=\"x, private, y\"")],
        &["private, a=\"x, private, y\""],
    ),
    kind(
        &[("cache-control", "a=\"x, private")],
        &["private, a=\"x, private"],
    ),
    kind(
        &[
            ("cache-control", "max-age=60"),
            ("cache-control", "must-revalidate"),
        ],
        &["private, max-age=60", "must-revalidate"],
    ),
    kind(&[("cache-control", "")], &["private"]),
    public(&[("cache-control", "public")], &["public"]),
    public(
        &[("cache-control", "public, max-age=60")],
        &["public, max-age=60"],
    ),
    public(&[("cache-control", "PUBLIC")], &["PUBLIC"]),
    public(&[("cache-control", "s-maxage=60")], &["s-maxage=60"]),
    public(
        &[("cache-control", "s-maxage=\"60\"")],
        &["s-maxage=\"60\""],
    ),
    public(
        &[("cache-control", "max-age=60,immutable")],
        &["private, max-age=60,immutable"],
    ),
    public(
        &[("cache-control", "max-age=60"), ("cache-control", "public")],
        &["max-age=60", "public"],
    ),
    public(
        &[("cache-control", "private, public")],
        &["private, public"],
    ),
    public(
        &[("cache-control", "private, s-maxage=60")],
        &["private, s-maxage=60"],
    ),
    private(&[("cache-control", "private")], &["private"]),
    private(
        &[("cache-control", "private, max-age=60")],
        &["private, max-age=60"],
    ),
    private(
        &[("cache-control", "max-age=60 , Private")],
        &["max-age=60 , Private"],
    ),
    private(&[("cache-control", "no-store")], NO_STORE),
    private(
        &[
            ("cache-control", "max-age=60"),
            ("cache-control", "private"),
        ],
        &["max-age=60", "private"],
    ),
    varying(&[("vary", "Accept, Origin")], &["Accept, Origin", "Cookie"]),
    varying(
        &[("vary", "Accept"), ("vary", "X-Cookie")],
        &["Accept", "X-Cookie", "Cookie"],
    ),
    varying(&[("vary", "accept,cookie")], &["accept,cookie"]),
    varying(&[("vary", "*")], &["*"]),
];

/// Headers that override `Cache-Control` for shared caches.
const OVERRIDES: [&str; 4] = [
    "expires",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "surrogate-control",
];

/// The cookie of a session as in the first column of `METHODS`.
fn cookie(layer: &SessionLayer) -> HeaderValue {
    let session = testing::session(layer);
    session.login("ada").expect("short");
    session.insert("a", 1).expect("small");
    testing::cookie(layer, &session).expect("a cookie")
}

struct Scene<'a> {
    layer: &'a SessionLayer,
    cookie: Option<HeaderValue>,
    method: (&'static str, Act),
}

impl Scene<'_> {
    /// Calls the method in a handler that answers with this kind and status, and checks the headers
    /// expected for this effect.
    async fn shows(&self, kind: &'static Kind, status: StatusCode, effect: Effect) {
        let (name, act) = self.method;
        let handler = move |extensions: Extensions| async move {
            let session = Session::from_extensions(&extensions)
                .await
                .expect("a layer");
            act(&session, &extensions);
            let said = kind
                .said
                .iter()
                .copied()
                .chain(OVERRIDES.map(|name| (name, "0")));
            let headers: HeaderMap = said
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            (status, headers)
        };
        let app = Router::new()
            .route("/", get(handler))
            .layer(self.layer.clone());
        let line = self.cookie.as_ref().map(HeaderValue::as_bytes);
        let answer = get_with(&app, "/", line.as_slice()).await;
        let what = format!("{name}, {:?}, {effect:?}, {status}", kind.said);
        let cache_control = match effect {
            Look => kind.look,
            Cookie => kind.cookie,
            Login => NO_STORE,
        };
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("vary"), kind.vary, "{what}");
        assert_eq!(answer.header("cache-control"), cache_control, "{what}");
        assert_eq!(answer.sets_nothing(), effect == Look, "{what}");
        for name in OVERRIDES {
            assert_eq!(
                answer.headers.contains_key(name),
                effect == Look,
                "{what}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_method_sets_the_right_headers_on_every_kind_of_response() {
    let layer = layer();
    for (name, with, without, act) in METHODS {
        let method = (name, act);
        for kind in &KINDS {
            // each case needs a new session: one that was logged out or renewed stays ended
            for (cookie, effect) in [(Some(cookie(&layer)), with), (None, without)] {
                let scene = Scene {
                    layer: &layer,
                    cookie,
                    method,
                };
                scene.shows(kind, StatusCode::OK, effect).await;
            }
        }
        for status in [101, 204, 206, 301, 304, 404, 410, 500, 503] {
            let scene = Scene {
                layer: &layer,
                cookie: Some(cookie(&layer)),
                method,
            };
            let status = StatusCode::from_u16(status).expect("a status");
            scene.shows(&KINDS[0], status, with).await;
        }
    }
}

/// A read then sends our cookie, unless the response is public or the request is passive.
#[tokio::test]
async fn every_method_sets_the_right_headers_when_a_refresh_is_due() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    for (name, with, _, act) in METHODS {
        for kind in &KINDS {
            let cookie = Some(cookie(&layer));
            clock.advance(Duration::from_secs(600));
            let effect = if with == Look && !kind.public && name != "passive" {
                Cookie
            } else {
                with
            };
            let scene = Scene {
                layer: &layer,
                cookie,
                method: (name, act),
            };
            scene.shows(kind, StatusCode::OK, effect).await;
        }
    }
}

#[tokio::test]
async fn responses_of_handlers_that_ignore_the_session_are_unchanged() {
    for kind in &KINDS {
        let headers = move || async move {
            let said = kind.said.iter();
            let pairs = said.map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            pairs.collect::<HeaderMap>()
        };
        let app = Router::new().route("/", get(headers)).layer(layer());
        let cookie = cookie(&layer());
        let answer = get_with(&app, "/", &[cookie.as_bytes()]).await;
        let said = |name: &str| -> Vec<_> {
            kind.said
                .iter()
                .filter(|(n, _)| *n == name)
                .map(|(_, value)| *value)
                .collect()
        };
        assert_eq!(answer.header("vary"), said("vary"));
        assert_eq!(answer.header("cache-control"), said("cache-control"));
        assert!(answer.sets_nothing());
    }
}

/// The feature `store` has the method. These layers have no store, and some sessions no owner.
fn adopt_imported(session: &Session) {
    #[cfg(feature = "store")]
    {
        let adopted = session.adopt_imported().now_or_never();
        adopted.expect("at once").expect_err("no store");
    }
    let _ = session;
}

/// Reads the methods from the source, so that a new method or trait without a row fails this test.
#[test]
fn every_public_method_of_a_session_is_in_the_table() {
    let mut found = Found::default();
    found.walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"));
    let table: BTreeSet<_> = METHODS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    // `fmt` and `clone` are trait methods
    let traits = ["fmt", "clone"].map(str::to_owned);
    assert_eq!(
        found.methods,
        table.difference(&traits.into()).cloned().collect()
    );
    let known = [
        "impl fmt::Debug",
        // used by the examples and other tests
        "impl<S: Sync> FromRequestParts<S>",
        "impl<S: Sync> OptionalFromRequestParts<S>",
    ];
    assert_eq!(found.traits, known.map(str::to_owned).into());
    assert_eq!(found.derived, ["#[derive(Clone)]"]);
}

#[derive(Default)]
struct Found {
    methods: BTreeSet<String>,
    traits: BTreeSet<String>,
    derived: Vec<String>,
}

impl Found {
    fn walk(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.walk(&path);
            } else {
                self.read(&std::fs::read_to_string(path).expect("UTF-8"));
            }
        }
    }

    fn read(&mut self, source: &str) {
        let (mut inherent, mut before) = (false, "");
        for line in source.lines() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if line.starts_with("impl") && words.any(|word| word == "Session") {
                match line.split_once(" for Session") {
                    Some((head, _)) => drop(self.traits.insert(head.to_owned())),
                    None => inherent = true,
                }
            } else if line.starts_with("pub struct Session {") {
                self.derived.push(before.to_owned());
            } else if line.starts_with('}') {
                inherent = false;
            } else if inherent && line.starts_with("    pub ") {
                let name = line
                    .split_once(" fn ")
                    .and_then(|(_, rest)| rest.split(['(', '<']).next());
                self.methods.extend(name.map(str::to_owned));
            }
            before = line;
        }
    }
}

/// An inner layer adds `private` after a read. The outer layer must not mistake that for the
/// application's own header.
#[tokio::test]
async fn nested_layers_do_not_weaken_each_other() {
    for (said, wanted) in [
        (None, "no-store"),
        (Some("private, max-age=60"), "private, max-age=60"),
        (Some("max-age=60"), "no-store"),
        (Some("public"), "no-store"),
    ] {
        let both = move |session: Session, extensions: Extensions| async move {
            session.len();
            let outer = Session::named(&extensions, "__Host-Http-outer").await?;
            outer.insert("a", 1)?;
            let said = said.map(|said| (CACHE_CONTROL, HeaderValue::from_static(said)));
            Ok::<_, Error>(HeaderMap::from_iter(said))
        };
        let outer = SessionLayer::builder(keys()).name("outer");
        let app = Router::new()
            .route("/", get(both))
            .layer(layer())
            .layer(outer.build().expect("valid settings"));
        let answer = get_with(&app, "/", &[]).await;
        assert_eq!(answer.cookies().len(), 1);
        assert_eq!(answer.header("cache-control"), [wanted]);
    }
}
