//! Bad cookies: the response is 200 with an empty session, the cookie is not removed, and an event
//! tells the reason.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use tower_sealed_session::{KeyRing, Prefix, Session, SessionLayer, testing};

use crate::support::{Events, NAME, OTHER_SECRET, get_with, keys, on_a_clock, secret};

async fn names(session: Session) -> String {
    format!("{:?}", session.keys())
}

struct Scene {
    app: Router,
    layer: SessionLayer,
    clock: testing::TestClock,
    events: Events,
}

impl Scene {
    fn new() -> Self {
        let (builder, clock) = on_a_clock();
        let layer = builder.build().expect("valid settings");
        let app = Router::new().route("/", get(names)).layer(layer.clone());
        Self {
            app,
            layer,
            clock,
            events: Events::capture(),
        }
    }

    /// The value of a valid cookie whose session has one entry with this key.
    fn value(&self, key: &str) -> String {
        value(&self.layer, key)
    }

    async fn shows(&self, lines: &[&[u8]], wanted: &str, events: &[&str]) {
        let answer = get_with(&self.app, "/", lines).await;
        let shown: Vec<_> = lines
            .iter()
            .map(|line| line[..line.len().min(200)].escape_ascii().to_string())
            .collect();
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::OK, wanted),
            "{shown:?}"
        );
        assert!(answer.sets_nothing(), "{shown:?}");
        let mut emitted = self.events.drain();
        // `unknown_keys.rs` tests this one, which is not emitted each time
        emitted.retain(|event| event != "unknown_keys");
        assert_eq!(emitted, events, "{shown:?}");
    }

    async fn is_anonymous(&self, value: &[u8], events: &[&str]) {
        let line = [NAME.as_bytes(), b"=", value].concat();
        self.shows(&[&line], "[]", events).await;
    }
}

fn value(layer: &SessionLayer, key: &str) -> String {
    let session = testing::session(layer);
    session.insert(key, 1).expect("small");
    let cookie = testing::cookie(layer, &session).expect("a cookie");
    let pair = cookie.to_str().expect("ASCII");
    pair.split_once('=').expect("a pair").1.to_owned()
}

/// The token with one character changed at this position.
fn forged(token: &str, at: usize) -> String {
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[tokio::test]
async fn garbage_and_truncated_tokens_are_rejected() {
    let scene = Scene::new();
    let good = scene.value("a");
    for garbage in [
        "",
        "x",
        "null",
        "\"\"",
        "%00",
        "AAAA",
        "!!!!",
        &"A".repeat(4000),
        &good[..40],
    ] {
        let event = if garbage == "A".repeat(4000) {
            "rejected version"
        } else {
            "rejected garbage"
        };
        scene.is_anonymous(garbage.as_bytes(), &[event]).await;
    }
    for len in 72..good.len() {
        let answer = get_with(
            &scene.app,
            "/",
            &[format!("{NAME}={}", &good[..len]).as_bytes()],
        )
        .await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "[]"));
        assert!(answer.sets_nothing());
    }
    scene.events.drain();
    scene
        .is_anonymous(format!("{good}=").as_bytes(), &["rejected garbage"])
        .await;
    scene
        .is_anonymous(format!("{good} {good}").as_bytes(), &["rejected garbage"])
        .await;
    scene
        .is_anonymous(&[good.as_bytes(), b"\xff"].concat(), &["rejected garbage"])
        .await;
}

/// RFC 6265 §4.1.1 allows one pair of double quotes around a value. Java's `CookieManager` sends
/// them. Nothing else is decoded.
#[tokio::test]
async fn one_pair_of_quotes_around_the_token_is_accepted() {
    let scene = Scene::new();
    let good = scene.value("a");
    let quoted = format!("{NAME}=\"{good}\"");
    let java = format!("$Version=\"1\"; {quoted};$Path=\"/\";$Domain=\"localhost.local\"");
    let twice = format!("{NAME}={good}; {quoted}");
    for line in [&quoted, &java, &twice] {
        scene.shows(&[line.as_bytes()], r#"["a"]"#, &[]).await;
    }
    for value in [
        "\"".to_owned(),
        format!("\"{good}"),
        format!("{good}\""),
        format!("\"\"{good}\"\""),
        format!("\" {good}\""),
        format!("\"{good} \""),
        format!("'{good}'"),
        format!("\\\"{good}\\\""),
        format!("%22{good}%22"),
    ] {
        scene
            .is_anonymous(value.as_bytes(), &["rejected garbage"])
            .await;
    }
    // quotes do not hide a conflict
    let other = scene.value("b");
    let line = format!("{quoted}; {NAME}=\"{other}\"");
    scene
        .shows(&[line.as_bytes()], "[]", &["rejected ambiguous"])
        .await;
    // a token with one changed character is forged, with quotes too
    let changed = format!("\"{}\"", forged(&good, 20));
    scene
        .is_anonymous(changed.as_bytes(), &["rejected forged"])
        .await;
}

#[tokio::test]
async fn token_with_any_one_character_changed_is_rejected() {
    let scene = Scene::new();
    let good = scene.value("a");
    for at in 0..good.len() {
        let line = format!("{NAME}={}", forged(&good, at));
        let answer = get_with(&scene.app, "/", &[line.as_bytes()]).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::OK, "[]"),
            "at {at}"
        );
        assert!(answer.sets_nothing());
    }
    let mut events = scene.events.drain();
    events.retain(|event| event != "unknown_keys");
    assert_eq!(events.len(), good.len());
    assert!(
        events
            .iter()
            .filter(|event| *event == "rejected forged")
            .count()
            > good.len() - 12
    );
}

#[tokio::test]
async fn tokens_of_other_secrets_names_and_audiences_are_rejected() {
    let scene = Scene::new();
    let build = |builder: tower_sealed_session::SessionLayerBuilder| {
        builder
            .clock(scene.clock.clone())
            .build()
            .expect("valid settings")
    };
    let foreign = [
        (
            "another secret",
            build(SessionLayer::builder(KeyRing::new(secret(OTHER_SECRET)))),
        ),
        (
            "another name",
            build(SessionLayer::builder(keys()).name("other")),
        ),
        (
            "another audience",
            build(SessionLayer::builder(keys()).audience("shop.example")),
        ),
    ];
    for (what, layer) in foreign {
        println!("{what}");
        scene
            .is_anonymous(value(&layer, "a").as_bytes(), &["rejected unknown_key"])
            .await;
    }
}

#[tokio::test]
async fn expired_and_future_cookies_are_rejected() {
    let scene = Scene::new();
    let good = scene.value("a");
    scene.clock.advance(Duration::from_secs(3600));
    scene
        .is_anonymous(good.as_bytes(), &["rejected expired"])
        .await;
    let ahead = scene.value("a");
    scene
        .clock
        .set(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range"));
    scene
        .is_anonymous(ahead.as_bytes(), &["rejected future"])
        .await;
    scene
        .clock
        .set(time::OffsetDateTime::UNIX_EPOCH - Duration::from_secs(1));
    scene.is_anonymous(good.as_bytes(), &["clock"]).await;
}

#[tokio::test]
async fn conflicting_valid_sessions_are_treated_as_anonymous() {
    let scene = Scene::new();
    let (a, b) = (scene.value("a"), scene.value("b"));
    let line = format!("{NAME}={a}; {NAME}={b}");
    scene
        .shows(&[line.as_bytes()], "[]", &["rejected ambiguous"])
        .await;
    scene.clock.advance(Duration::from_secs(3600));
    let fresh = scene.value("c");
    let line = format!("{NAME}={a}; {NAME}={fresh}");
    scene
        .shows(&[line.as_bytes()], r#"["c"]"#, &["rejected expired"])
        .await;
}

/// Only candidates with a known key id count. At most four of them are opened.
#[tokio::test]
async fn number_of_opened_duplicates_is_limited() {
    let scene = Scene::new();
    let good = scene.value("a");
    let foreign = format!(
        "{NAME}={}; ",
        value(&SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))), "a")
    );
    let many_foreign = foreign.repeat(50) + &format!("{NAME}={good}");
    scene
        .shows(&[many_foreign.as_bytes()], r#"["a"]"#, &[])
        .await;
    let token = good.clone();
    let forged = |n: usize| format!("{NAME}={}; ", forged(&token, n));
    let good = format!("{NAME}={good}");
    let several = |n: usize| (20..20 + n).map(forged).collect::<String>();
    scene
        .shows(
            &[(several(3) + &good).as_bytes()],
            r#"["a"]"#,
            &["rejected forged"; 3],
        )
        .await;
    scene
        .shows(
            &[(forged(20).repeat(100) + &good).as_bytes()],
            r#"["a"]"#,
            &["rejected forged"],
        )
        .await;
    let expected = [&["rejected forged"; 4][..], &["rejected ambiguous"]].concat();
    scene
        .shows(&[(several(100) + &good).as_bytes()], "[]", &expected)
        .await;
}

/// Without a cookie prefix, a sibling host may plant copies of its own session in front of the
/// visitor's.
#[tokio::test]
async fn planted_copies_of_another_session_make_the_visitor_anonymous() {
    let scene = Scene::new();
    let session = testing::session(&scene.layer);
    session.insert("evil", 1).expect("small");
    let mut planted = String::new();
    for n in 0..8 {
        let cookie = testing::cookie(&scene.layer, &session).expect("a cookie");
        planted += &format!("{}; ", cookie.to_str().expect("ASCII"));
        let line = format!("{planted}{NAME}={}", scene.value("a"));
        let answer = get_with(&scene.app, "/", &[line.as_bytes()]).await;
        assert_eq!(answer.body, "[]", "{n}");
        assert_eq!(scene.events.drain(), ["rejected ambiguous"]);
    }
}

#[tokio::test]
async fn cookie_headers_of_64_kib_are_accepted() {
    let scene = Scene::new();
    let ours = format!("{NAME}={}", scene.value("a"));
    let many = "a=1; ".repeat(13_107) + &ours;
    assert!(many.len() > 64 * 1024);
    scene.shows(&[many.as_bytes()], r#"["a"]"#, &[]).await;
    let long = format!("big={}; {ours}", "x".repeat(64 * 1024));
    scene.shows(&[long.as_bytes()], r#"["a"]"#, &[]).await;
    scene
        .is_anonymous("A".repeat(64 * 1024).as_bytes(), &["rejected garbage"])
        .await;
    let named = format!("{NAME}=x; ").repeat(3_700) + &ours;
    scene.shows(&[named.as_bytes()], r#"["a"]"#, &[]).await;
}

#[tokio::test]
async fn invalid_utf_8_in_other_cookies_is_ignored() {
    let scene = Scene::new();
    let ours = format!("{NAME}={}", scene.value("a")).into_bytes();
    for neighbour in [&b"a=\xff"[..], b"\xfe\xff", b"\xc3=\x28", b"=\x80"] {
        let before = [neighbour, b"; ", &ours].concat();
        let after = [&ours, &b"; "[..], neighbour].concat();
        scene.shows(&[&before], r#"["a"]"#, &[]).await;
        scene.shows(&[&after], r#"["a"]"#, &[]).await;
        scene.shows(&[neighbour, &ours], r#"["a"]"#, &[]).await;
    }
}

/// Spaces, zero-width and confusable characters. Some parsers trim, fold or ignore them.
const STRANGE: [&str; 38] = [
    "\u{80}", "\u{85}", "\u{a0}", "\u{ad}", "\u{34f}", "\u{1680}", "\u{180e}", "\u{2000}",
    "\u{2001}", "\u{2002}", "\u{2003}", "\u{2004}", "\u{2005}", "\u{2006}", "\u{2007}", "\u{2008}",
    "\u{2009}", "\u{200a}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{2028}", "\u{2029}", "\u{202f}",
    "\u{205f}", "\u{2060}", "\u{3000}", "\u{feff}", "\u{ff3f}", "%20", "%09", "%00", "+", "\"",
    "'", "\\", ",", "=",
];

/// Names that some parsers confuse with ours.
const LOOK_ALIKES: [&str; 25] = [
    "%5F%5FHost-Http-session",
    "__%48ost-Http-session",
    "%5f_Host-Http-session",
    "__Host-Http-%73ession",
    "__Host-Http-session%00",
    "__Host-Http%2Dsession",
    "__HOST-HTTP-SESSION",
    "__host-http-session",
    "__Host-Http-Session",
    "__Host_Http_session",
    "__Host.Http.session",
    "__Host Http session",
    "Host-Http-session",
    "_Host-Http-session",
    "___Host-Http-session",
    "__Host-Http-sessio",
    "__Host-Http-session2",
    "__Host-Http-session[]",
    "__Host-Http-session.",
    "__Secure-session",
    "__Host-session",
    "__Http-session",
    "__Host-",
    "session",
    "\u{5f}\u{203f}Host-Http-session",
];

/// A sibling host can set all of these. None is accepted as ours, and none hides ours.
#[tokio::test]
async fn look_alike_names_are_ignored() {
    let scene = Scene::new();
    let (evil, ours) = (scene.value("evil"), format!("{NAME}={}", scene.value("a")));
    let strange = STRANGE.iter().flat_map(|strange| {
        let (start, end) = NAME.split_at(6);
        [
            format!("{strange}{NAME}"),
            format!("{start}{strange}{end}"),
            format!("{NAME}{strange}"),
        ]
    });
    let names = LOOK_ALIKES
        .iter()
        .map(|name| (*name).to_owned())
        .chain(strange);
    let mut pairs: Vec<_> = names.map(|name| format!("{name}={evil}")).collect();
    pairs.extend([
        format!("x={NAME}={evil}"),
        format!("x=\"{NAME}={evil}\""),
        format!("{NAME}:{evil}"),
        NAME.to_owned(),
        format!("$Version=1,{NAME}={evil}"),
    ]);
    for pair in &pairs {
        // with `=` appended, the name is ours and the value is invalid
        let event: &[&str] = if pair.starts_with(&format!("{NAME}==")) {
            &["rejected garbage"]
        } else {
            &[]
        };
        scene.shows(&[pair.as_bytes()], "[]", event).await;
        let line = format!("{pair}; {ours}; {pair}");
        scene.shows(&[line.as_bytes()], r#"["a"]"#, &[]).await;
        scene
            .shows(
                &[pair.as_bytes(), ours.as_bytes(), pair.as_bytes()],
                r#"["a"]"#,
                &[],
            )
            .await;
    }
    assert!(pairs.len() > 140);
    // RFC 2965 is not supported: these are other cookies beside ours
    for line in [
        format!("$Version=1; {ours}; $Path=/"),
        format!("\"a=b; {ours}"),
        format!("a=\"; {ours}; b=\""),
    ] {
        scene.shows(&[line.as_bytes()], r#"["a"]"#, &[]).await;
    }
}

/// `HeaderValue` refuses control bytes, and servers answer them with 400 before any layer runs. The
/// layer gets each other byte: in a value of another cookie it hides nothing, and in ours it makes
/// the visitor anonymous.
#[tokio::test]
async fn bytes_that_headers_can_have_hide_no_cookie_and_cause_no_error() {
    let scene = Scene::new();
    let good = scene.value("a");
    let mut refused = 0;
    for byte in 0..=255_u8 {
        let beside = [
            b"x=1",
            &[byte][..],
            b"; ",
            NAME.as_bytes(),
            b"=",
            good.as_bytes(),
        ]
        .concat();
        if axum::http::HeaderValue::from_bytes(&beside).is_err() {
            assert!((byte < b' ' && byte != b'\t') || byte == 0x7f, "{byte:#x}");
            refused += 1;
            continue;
        }
        scene.shows(&[&beside], r#"["a"]"#, &[]).await;
        let (head, tail) = good.as_bytes().split_at(20);
        let inside = [NAME.as_bytes(), b"=", head, &[byte], tail].concat();
        let answer = get_with(&scene.app, "/", &[&inside]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "[]"));
        assert!(answer.sets_nothing());
        scene.events.drain();
    }
    assert_eq!(refused, 32);
}

/// HTTP/2 and proxies may split a `Cookie` header into several lines. The result is the same.
#[tokio::test]
async fn several_cookie_lines_are_read_as_one() {
    let scene = Scene::new();
    let pair = |value: String| format!("{NAME}={value}").into_bytes();
    let (a, b) = (pair(scene.value("a")), pair(scene.value("b")));
    let (other, bad) = (&b"x=1; y=2"[..], &b"\xff; __Host-Http-session"[..]);
    for lines in [[&a[..], other, bad], [other, &a, bad], [bad, other, &a]] {
        scene.shows(&lines, r#"["a"]"#, &[]).await;
        scene
            .shows(&[&lines.join(&b"; "[..])], r#"["a"]"#, &[])
            .await;
    }
    scene.shows(&[&a, &a], r#"["a"]"#, &[]).await;
    for lines in [[&a, &b], [&b, &a]] {
        scene
            .shows(&[lines[0], lines[1]], "[]", &["rejected ambiguous"])
            .await;
    }
    // a pair must not continue on the next line
    scene
        .shows(&[&a[..40], &a[40..]], "[]", &["rejected garbage"])
        .await;
}

/// Extra cookies from another path, partition or sibling host, in every order. The result depends
/// on their contents only.
#[tokio::test]
async fn order_of_duplicate_cookies_does_not_matter() {
    let scene = Scene::new();
    let foreign = value(
        &SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))),
        "evil",
    );
    let old = scene.value("old");
    scene.clock.advance(Duration::from_secs(1800));
    let session = testing::session(&scene.layer);
    session.insert("a", 1).expect("small");
    let token = || {
        let cookie = testing::cookie(&scene.layer, &session).expect("a cookie");
        cookie
            .to_str()
            .expect("ASCII")
            .split_once('=')
            .expect("a pair")
            .1
            .to_owned()
    };
    // one session, sealed before and after a change
    let before = token();
    scene.clock.advance(Duration::from_secs(1800));
    session.insert("b", 2).expect("small");
    let after = token();
    let evil = scene.value("evil");
    let forged = forged(&evil, 20);
    let cases: [(&[&String], &str); 8] = [
        (&[&before, &after], r#"["a", "b"]"#),
        (&[&before, &after, &before, &foreign], r#"["a", "b"]"#),
        (&[&after, &forged], r#"["a", "b"]"#),
        (&[&after, &foreign], r#"["a", "b"]"#),
        (&[&after, &old], r#"["a", "b"]"#),
        (&[&before, &after, &evil], "[]"),
        (&[&forged, &evil, &after], "[]"),
        (&[&forged, &foreign, &old], "[]"),
    ];
    for (tokens, wanted) in cases {
        for turn in 0..tokens.len() {
            let mut turned = tokens.to_vec();
            turned.rotate_left(turn);
            for _ in 0..2 {
                let pairs: Vec<_> = turned
                    .iter()
                    .map(|token| format!("{NAME}={token}"))
                    .collect();
                let joined = pairs.join("; ");
                let lines: Vec<_> = pairs.iter().map(String::as_bytes).collect();
                for lines in [&lines[..], &[joined.as_bytes()]] {
                    let answer = get_with(&scene.app, "/", lines).await;
                    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, wanted));
                    assert!(answer.sets_nothing());
                }
                turned.reverse();
            }
        }
    }
}

#[tokio::test]
async fn bad_cookie_is_replaced_only_by_a_write() {
    let (builder, _) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    async fn write(session: Session) {
        session.insert("b", 2).expect("small");
    }
    let app = Router::new().route("/", get(write)).layer(layer.clone());
    let answer = get_with(&app, "/", &[format!("{NAME}=garbage").as_bytes()]).await;
    let session = testing::received(&layer, &answer.headers).expect("a session");
    assert_eq!(session.keys(), ["b"]);
}

/// A layer with a store made this ticket. This layer has no store, so it cannot load the session,
/// but it must not remove the cookie.
#[tokio::test]
async fn ticket_without_a_store_answers_503_and_keeps_the_cookie() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/format1.json")).expect("JSON");
    let vectors = vectors["vectors"].as_array().expect("a list");
    let ticket = vectors.iter().find(|v| v["stored"] == true).expect("one");
    let clock = testing::TestClock::at(
        time::OffsetDateTime::from_unix_timestamp(1_760_000_100).expect("in range"),
    );
    let keys = KeyRing::new(secret(ticket["secret"].as_str().expect("text")));
    let layer = SessionLayer::builder(keys)
        .prefix(Prefix::Host) // the name that the vector is bound to
        .clock(clock)
        .build()
        .expect("valid settings");
    let name = layer.cookie_name().to_owned();
    let app = Router::new()
        .route("/", get(names))
        .route("/untouched", get(|| async { "fine" }))
        .layer(layer);
    let line = format!("{name}={}", ticket["token"].as_str().expect("text"));
    let answer = get_with(&app, "/", &[line.as_bytes()]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), ["1"]);
    assert!(answer.sets_nothing());
    assert_eq!(
        get_with(&app, "/untouched", &[line.as_bytes()]).await.body,
        "fine"
    );
}
