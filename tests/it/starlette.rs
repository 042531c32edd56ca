//! Counterparts of Starlette's tests of its session middleware, in the same order and with the same
//! names, and tests of cases that Starlette does not test.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_sealed_session::{
    ConfigError, Error, ErrorKind, KeyRing, Prefix, SameSite, Session, SessionLayer, testing,
};

use crate::support::{
    Events, NAME, OTHER_SECRET, SECRET, Visitor, get_with, keys, layer, on_a_clock, secret,
};

type Entries = BTreeMap<String, Value>;

async fn view(session: Session) -> Result<String, Error> {
    Ok(json!(session.read::<Entries>()?).to_string())
}

async fn update(session: Session) -> Result<String, Error> {
    session.insert("some", "data")?;
    view(session).await
}

async fn clear(session: Session) -> Result<String, Error> {
    session.clear();
    view(session).await
}

fn app(layer: SessionLayer) -> Router {
    Router::new()
        .route("/view", get(view))
        .route("/update", get(update))
        .route("/clear", get(clear))
        .route("/no_session", get(|| async { "hello" }))
        .layer(layer)
}

const EMPTY: &str = "{}";
const SOME: &str = r#"{"some":"data"}"#;

mod upstream {
    use super::*;

    #[tokio::test]
    async fn session() {
        let (app, mut visitor) = (app(layer()), Visitor::default());
        assert_eq!(visitor.get(&app, "/view").await.body, EMPTY);
        let answer = visitor.get(&app, "/update").await;
        assert_eq!(answer.body, SOME);
        assert!(answer.header("set-cookie")[0].ends_with("; Max-Age=3600"));
        assert_eq!(visitor.get(&app, "/view").await.body, SOME);
        assert_eq!(visitor.get(&app, "/clear").await.body, EMPTY);
        assert_eq!(visitor.get(&app, "/view").await.body, EMPTY);
    }

    #[tokio::test]
    async fn partitioned_session() {
        for partitioned in [false, true] {
            let layer = SessionLayer::builder(keys())
                .partitioned(partitioned)
                .build()
                .expect("valid settings");
            let (app, mut visitor) = (app(layer), Visitor::default());
            for path in ["/update", "/clear"] {
                let answer = visitor.get(&app, path).await;
                let mut attributes = answer.header("set-cookie")[0].split("; ").skip(1);
                assert_eq!(
                    attributes.any(|attribute| attribute == "Partitioned"),
                    partitioned
                );
            }
        }
    }

    #[tokio::test]
    async fn session_expires() {
        let (builder, clock) = on_a_clock();
        let app = app(builder.build().expect("valid settings"));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/update").await;
        let captured = visitor.clone();
        clock.advance(Duration::from_secs(3600));
        assert_eq!(captured.clone().get(&app, "/view").await.body, EMPTY);
    }

    #[tokio::test]
    async fn secure_session() {
        let (app, mut visitor) = (app(layer()), Visitor::default());
        for path in ["/update", "/clear"] {
            let answer = visitor.get(&app, path).await;
            assert_eq!(answer.cookies()[0].secure(), Some(true));
        }
        let insecure = SessionLayer::builder(keys())
            .insecure_http()
            .build()
            .expect("valid settings");
        let answer = Visitor::default()
            .get(&super::app(insecure), "/update")
            .await;
        let cookies = answer.cookies();
        assert_eq!((cookies[0].name(), cookies[0].secure()), ("session", None));
    }

    #[tokio::test]
    async fn session_cookie_subpath() {
        let layer = SessionLayer::builder(keys())
            .path("/second_app")
            .build()
            .expect("valid settings");
        let app = Router::new().nest("/second_app", app(layer));
        let mut visitor = Visitor::default();
        for path in ["/second_app/update", "/second_app/clear"] {
            let answer = visitor.get(&app, path).await;
            let cookies = answer.cookies();
            assert_eq!(
                (cookies[0].name(), cookies[0].path()),
                ("__Secure-session", Some("/second_app"))
            );
        }
    }

    #[tokio::test]
    async fn invalid_session_cookie() {
        let app = app(layer());
        let line = format!("{NAME}=invalid");
        let answer = get_with(&app, "/update", &[line.as_bytes()]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, SOME));
        let answer = get_with(&app, "/view", &[line.as_bytes()]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, EMPTY));
    }

    /// In Starlette, zero ends every session at once. Here zero is an error, and it does not mean
    /// "unset".
    #[test]
    fn session_zero_max_age() {
        for setting in ["idle_timeout", "absolute_timeout", "max_remember"] {
            let builder = SessionLayer::builder(keys());
            let builder = match setting {
                "idle_timeout" => builder.idle_timeout(Duration::ZERO),
                "absolute_timeout" => builder.absolute_timeout(Duration::ZERO),
                _ => builder.max_remember(Duration::ZERO),
            };
            let error = builder.build().expect_err("refused");
            assert!(
                matches!(error, ConfigError::Invalid { setting: named, .. } if named == setting)
            );
            assert!(error.to_string().contains("browser_session"));
        }
    }

    #[tokio::test]
    async fn session_cookie() {
        let layer = SessionLayer::builder(keys())
            .browser_session(true)
            .build()
            .expect("valid settings");
        let (app, mut visitor) = (app(layer), Visitor::default());
        let answer = visitor.get(&app, "/update").await;
        assert_eq!(answer.cookies()[0].max_age(), None);
        assert_eq!(visitor.get(&app, "/view").await.body, SOME);
        visitor.jar.clear();
        assert_eq!(visitor.get(&app, "/view").await.body, EMPTY);
    }

    #[tokio::test]
    async fn domain_cookie() {
        let layer = SessionLayer::builder(keys())
            .domain(".example.com")
            .build()
            .expect("valid settings");
        let (app, mut visitor) = (app(layer), Visitor::default());
        for path in ["/update", "/clear"] {
            let answer = visitor.get(&app, path).await;
            let cookies = answer.cookies();
            assert_eq!(
                (cookies[0].name(), cookies[0].domain()),
                ("__Secure-session", Some("example.com"))
            );
        }
    }

    #[tokio::test]
    async fn set_cookie_only_on_modification() {
        let (app, mut visitor) = (app(layer()), Visitor::default());
        assert_eq!(visitor.get(&app, "/update").await.cookies().len(), 1);
        assert!(visitor.get(&app, "/view").await.sets_nothing());
        assert!(
            visitor.get(&app, "/update").await.sets_nothing(),
            "an equal value is no change"
        );
    }

    #[tokio::test]
    async fn vary_cookie_on_access() {
        let (app, mut visitor) = (app(layer()), Visitor::default());
        assert_eq!(
            visitor.get(&app, "/update").await.header("vary"),
            ["Cookie"]
        );
        assert_eq!(visitor.get(&app, "/view").await.header("vary"), ["Cookie"]);
        let untouched = visitor.get(&app, "/no_session").await;
        assert!(
            untouched.header("vary").is_empty() && untouched.header("cache-control").is_empty()
        );
    }

    #[tokio::test]
    async fn session_tracks_modification() {
        type Act = fn(&Session) -> Result<(), Error>;
        let acts: [(&str, Act, bool); 12] = [
            ("insert new", |s| s.insert("b", 2), true),
            ("insert other", |s| s.insert("a", 2), true),
            ("insert equal", |s| s.insert("a", 1), false),
            (
                "remove",
                |s| {
                    s.remove("a");
                    Ok(())
                },
                true,
            ),
            (
                "remove missing",
                |s| {
                    s.remove("b");
                    Ok(())
                },
                false,
            ),
            (
                "clear",
                |s| {
                    s.clear();
                    Ok(())
                },
                true,
            ),
            ("take", |s| s.take::<u8>("a").map(|_| ()), true),
            ("take missing", |s| s.take::<u8>("b").map(|_| ()), false),
            (
                "update",
                |s| {
                    s.update("a", |n: Option<u8>| n.unwrap_or(0) + 1)
                        .map(|_| ())
                },
                true,
            ),
            (
                "update to equal",
                |s| s.update("a", |n: Option<u8>| n.unwrap_or(1)).map(|_| ()),
                false,
            ),
            ("write equal", |s| s.write(&json!({"a": 1})), false),
            (
                "change and change back",
                |s| {
                    s.insert("a", 2)?;
                    s.insert("a", 1)
                },
                false,
            ),
        ];
        let layer = layer();
        let before = testing::session(&layer);
        before.insert("a", 1).expect("small");
        let cookie = testing::cookie(&layer, &before).expect("a cookie");
        for (name, act, modifies) in acts {
            let handler = move |session: Session| async move { act(&session) };
            let app = Router::new().route("/", get(handler)).layer(layer.clone());
            let answer = get_with(&app, "/", &[cookie.as_bytes()]).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert_eq!(!answer.sets_nothing(), modifies, "{name}");
        }
    }

    #[tokio::test]
    async fn session_persists_mutations() {
        type Act = fn(&Session) -> Result<(), Error>;
        let acts: [(Act, &str); 6] = [
            (|s| s.insert("c", 3), r#"{"a":1,"b":2,"c":3}"#),
            (|s| s.write(&json!({"c": 3})), r#"{"a":1,"b":2,"c":3}"#),
            (
                |s| {
                    s.remove("b");
                    Ok(())
                },
                r#"{"a":1}"#,
            ),
            (|s| s.take::<u8>("b").map(|_| ()), r#"{"a":1}"#),
            (
                |s| {
                    s.update("b", |n: Option<u8>| n.unwrap_or(0) * 21)
                        .map(|_| ())
                },
                r#"{"a":1,"b":42}"#,
            ),
            (
                |s| {
                    s.clear();
                    Ok(())
                },
                EMPTY,
            ),
        ];
        for (act, wanted) in acts {
            let app = Router::new()
                .route(
                    "/begin",
                    get(|s: Session| async move { s.write(&json!({"a": 1, "b": 2})) }),
                )
                .route(
                    "/act",
                    get(move |session: Session| async move { act(&session) }),
                )
                .route("/view", get(view))
                .layer(layer());
            let mut visitor = Visitor::default();
            visitor.get(&app, "/begin").await;
            visitor.get(&app, "/act").await;
            assert_eq!(visitor.get(&app, "/view").await.body, wanted);
        }
    }
}

mod not_tested_upstream {
    use super::*;

    #[tokio::test]
    async fn bad_cookie_and_a_write() {
        let app = app(layer());
        let line = format!("{NAME}=garbage");
        let answer = get_with(&app, "/update", &[line.as_bytes()]).await;
        let mut visitor = Visitor::default();
        visitor.keep(&answer);
        assert_eq!(visitor.get(&app, "/view").await.body, SOME);
    }

    #[tokio::test]
    async fn signed_but_malformed_payload() {
        let vectors: Value =
            serde_json::from_str(include_str!("../vectors/format1.json")).expect("JSON");
        let malformed = vectors["authentic_but_malformed"]
            .as_array()
            .expect("a list");
        let keys = KeyRing::new(secret(malformed[0]["secret"].as_str().expect("text")));
        let clock = testing::TestClock::at(
            time::OffsetDateTime::from_unix_timestamp(1_760_000_100).expect("in range"),
        );
        let layer = SessionLayer::builder(keys)
            .prefix(Prefix::Host)
            .clock(clock)
            .build()
            .expect("valid settings");
        let name = layer.cookie_name().to_owned();
        let app = app(layer);
        let events = Events::capture();
        for vector in malformed {
            let line = format!("{name}={}", vector["token"].as_str().expect("text"));
            let answer = get_with(&app, "/view", &[line.as_bytes()]).await;
            assert_eq!((answer.status, &*answer.body), (StatusCode::OK, EMPTY));
            assert!(answer.sets_nothing());
            assert_eq!(
                events.drain(),
                ["rejected malformed"],
                "{}",
                vector["comment"]
            );
        }
    }

    #[tokio::test]
    async fn duplicate_cookies() {
        let (builder, clock) = on_a_clock();
        let layer = builder.build().expect("valid settings");
        let app = app(layer.clone());
        let session = testing::session(&layer);
        let pair = |key: &str| {
            session.insert(key, 1).expect("small");
            testing::cookie(&layer, &session)
                .expect("a cookie")
                .to_str()
                .expect("ASCII")
                .to_owned()
        };
        let older = pair("a");
        clock.advance(Duration::from_secs(1));
        let newer = pair("b");
        for line in [format!("{older}; {newer}"), format!("{newer}; {older}")] {
            let answer = get_with(&app, "/view", &[line.as_bytes()]).await;
            assert_eq!(
                answer.body, r#"{"a":1,"b":1}"#,
                "the newest cookie of a session wins"
            );
        }
        let garbage = format!("{NAME}=x; {newer}; {NAME}=y; {NAME}=");
        let answer = get_with(&app, "/view", &[garbage.as_bytes()]).await;
        assert_eq!(
            answer.body, r#"{"a":1,"b":1}"#,
            "garbage does not hide the session"
        );
    }

    #[tokio::test]
    async fn nested_mutation() {
        async fn add(session: Session) -> Result<String, Error> {
            let mut cart: Vec<u8> = session.get("cart")?.unwrap_or_default();
            cart.push(1);
            session.insert("cart", &cart)?;
            Ok(cart.len().to_string())
        }
        let app = Router::new().route("/", get(add)).layer(layer());
        let mut visitor = Visitor::default();
        for wanted in ["1", "2", "3"] {
            assert_eq!(visitor.get(&app, "/").await.body, wanted);
        }
    }

    #[tokio::test]
    async fn oversize() {
        async fn essay(session: Session) -> Result<(), Error> {
            session.insert("essay", "x".repeat(10_000))
        }
        let app = Router::new().route("/", get(essay)).layer(layer());
        let answer = Visitor::default().get(&app, "/").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.sets_nothing());
    }

    #[tokio::test]
    async fn a_500_keeps_its_writes() {
        async fn fail(session: Session) -> Result<StatusCode, Error> {
            session.insert("some", "data")?;
            Ok(StatusCode::INTERNAL_SERVER_ERROR)
        }
        let app = app(layer()).merge(Router::new().route("/fail", get(fail)).layer(layer()));
        let mut visitor = Visitor::default();
        assert_eq!(
            visitor.get(&app, "/fail").await.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(visitor.get(&app, "/view").await.body, SOME);
    }

    /// A protocol upgrade over a real socket: the 101 response sets the cookie, and the handle
    /// still works after it.
    #[tokio::test]
    async fn web_socket() {
        async fn upgrade(
            session: Session,
            mut request: axum::extract::Request,
        ) -> Result<Response, Error> {
            session.insert("socket", true)?;
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = hyper_util::rt::TokioIo::new(upgrade.await.expect("an upgrade"));
                let late = session
                    .insert("late", 1)
                    .expect_err("the head is sent")
                    .kind();
                let valid = session.still_valid().await.expect("a clock");
                io.write_all(format!("{late:?} {valid}").as_bytes())
                    .await
                    .expect("an open socket");
                io.shutdown().await.expect("an open socket");
            });
            let headers = [("connection", "upgrade"), ("upgrade", "text")];
            Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
        }
        let app = Router::new().route("/", get(upgrade)).layer(layer());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut client = tokio::net::TcpStream::connect(address)
            .await
            .expect("a server");
        let request =
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: text\r\n\r\n";
        client
            .write_all(request.as_bytes())
            .await
            .expect("an open socket");
        let mut all = String::new();
        client.read_to_string(&mut all).await.expect("text");
        let (head, after) = all.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.starts_with("HTTP/1.1 101 ") && head.contains("set-cookie: __Host-Http-session=")
        );
        assert_eq!(after, "Late true");
    }

    #[tokio::test]
    async fn streaming_writes() {
        async fn stream(session: Session) -> Body {
            Body::from_stream(futures_util::stream::once(async move {
                session.remove("a");
                session.clear();
                session.logout();
                let kind = session.insert("b", 2).expect_err("the head is sent").kind();
                Ok::<_, Error>(format!("{kind:?}"))
            }))
        }
        let layer = layer();
        let session = testing::session(&layer);
        session.insert("a", 1).expect("small");
        let cookie = testing::cookie(&layer, &session).expect("a cookie");
        let app = Router::new().route("/", get(stream)).layer(layer);
        let events = Events::capture();
        let answer = get_with(&app, "/", &[cookie.as_bytes()]).await;
        assert_eq!(answer.body, "Late");
        assert!(answer.sets_nothing());
        assert_eq!(events.drain(), ["late_write"; 4]);
    }

    #[tokio::test]
    async fn future_timestamp() {
        let (builder, clock) = on_a_clock();
        let layer = builder.build().expect("valid settings");
        let app = app(layer.clone());
        let now = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
        let session = testing::session(&layer);
        session.insert("some", "data").expect("small");
        let cookie = testing::cookie(&layer, &session).expect("a cookie");
        let events = Events::capture();
        for (behind, wanted) in [(60, SOME), (61, EMPTY)] {
            clock.set(now - Duration::from_secs(behind));
            let answer = get_with(&app, "/view", &[cookie.as_bytes()]).await;
            assert_eq!(answer.body, wanted, "{behind} s behind");
        }
        assert_eq!(events.drain(), ["rejected future"]);
    }

    #[tokio::test]
    async fn vary_star() {
        async fn star(session: Session) -> Result<HeaderMap, Error> {
            session.insert("some", "data")?;
            Ok(HeaderMap::from_iter([(
                axum::http::header::VARY,
                "*".parse().expect("a value"),
            )]))
        }
        let app = Router::new().route("/", get(star)).layer(layer());
        assert_eq!(
            Visitor::default().get(&app, "/").await.header("vary"),
            ["*"]
        );
    }

    #[tokio::test]
    async fn several_cookie_lines() {
        let (app, mut visitor) = (app(layer()), Visitor::default());
        visitor.get(&app, "/update").await;
        let ours = visitor.cookie_line();
        for lines in [
            [&b"a=1"[..], ours.as_bytes(), b"b=2"],
            [ours.as_bytes(), b"a=1", b"\xff=\xfe"],
        ] {
            assert_eq!(get_with(&app, "/view", &lines).await.body, SOME);
        }
    }

    #[tokio::test]
    async fn unserialisable_value() {
        async fn insert(session: Session) -> Result<String, Error> {
            let unserialisable = BTreeMap::from([(vec![1], 1)]);
            let error = session
                .insert("map", &unserialisable)
                .expect_err("no JSON object");
            assert_eq!(error.kind(), ErrorKind::Encoding);
            Ok(error.to_string())
        }
        let app = Router::new().route("/", get(insert)).layer(layer());
        let answer = Visitor::default().get(&app, "/").await;
        assert!(
            answer.body.contains("\"map\"") && answer.body.contains("BTreeMap"),
            "{}",
            answer.body
        );
        assert!(answer.sets_nothing());
    }

    #[tokio::test]
    async fn key_rotation() {
        let clock = testing::TestClock::default();
        let build = |keys| {
            app(SessionLayer::builder(keys)
                .clock(clock.clone())
                .build()
                .expect("valid settings"))
        };
        let old = build(keys());
        let new = build(KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET)));
        let only_new = build(KeyRing::new(secret(OTHER_SECRET)));
        let mut visitor = Visitor::default();
        visitor.get(&old, "/update").await;
        assert_eq!(
            visitor.get(&new, "/view").await.body,
            SOME,
            "a fallback secret opens the cookie"
        );
        assert_eq!(visitor.clone().get(&only_new, "/view").await.body, EMPTY);
        clock.advance(Duration::from_secs(300));
        let moved = visitor.get(&new, "/view").await;
        assert_eq!(
            moved.cookies().len(),
            1,
            "a refresh seals with the current secret"
        );
        assert_eq!(visitor.get(&only_new, "/view").await.body, SOME);
    }
}

#[tokio::test]
async fn same_site_is_as_set() {
    for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
        let layer = SessionLayer::builder(keys())
            .same_site(same_site)
            .build()
            .expect("valid settings");
        let answer = Visitor::default().get(&app(layer), "/update").await;
        assert_eq!(answer.cookies()[0].same_site(), Some(same_site));
        assert_eq!(answer.cookies()[0].http_only(), Some(true));
    }
}
