//! No output, log or response contains a secret, a key, a cookie, an owner or a value.

use std::{fmt::Debug, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, Request, header},
    routing::get,
};
use serde::{Serialize, Serializer, ser::Error as _};
use tower::{Layer as _, Service as _, service_fn};
use tower_sealed_session::{
    Clock as _, ConfigError, EnvError, Error, Owner, Prefix, Secret, SecretError, Session,
    SessionLayer, SystemClock, require_owner, testing,
};

use crate::support::{Events, NAME, OTHER_SECRET, SECRET, keys, secret};

const OWNER: &str = "canary-owner-5b1e";
const VALUE: &str = "canary-value-77c0";

/// Collects text and searches it for canaries.
#[derive(Default)]
struct Output {
    text: String,
    canaries: Vec<String>,
    types: Vec<&'static str>,
}

impl Output {
    fn debug<T: Debug>(&mut self, value: &T) {
        let name = std::any::type_name::<T>()
            .split('<')
            .next()
            .unwrap_or_default();
        self.types
            .push(name.rsplit("::").next().unwrap_or_default());
        self.text += &format!("{value:?}\n{value:#?}\n");
    }

    fn error<T: std::error::Error>(&mut self, error: &T) {
        self.debug(error);
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = next {
            self.text += &format!("{error}\n{error:?}\n");
            next = error.source();
        }
    }

    fn assert_no_canary(&self) {
        assert!(self.text.len() > 1000, "there is output to search");
        for canary in &self.canaries {
            let at = self.text.find(canary.as_str());
            assert_eq!(at, None, "{canary} is in: {}", self.text);
        }
    }
}

struct FailsWithValue;

impl Serialize for FailsWithValue {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(VALUE))
    }
}

async fn everything(session: Session) -> Result<String, Error> {
    session.login(OWNER)?;
    session.insert("k", VALUE)?;
    session.remember(Duration::from_secs(60));
    let _ = session.get::<u64>("k");
    let _ = session.insert("t", FailsWithValue);
    let _ = session.insert("essay", VALUE.repeat(400));
    Ok(format!("{session:?}"))
}

/// Fails as this path says. The error becomes the response, and so an event.
async fn fails(session: Session, Path(how): Path<String>) -> Result<String, Error> {
    session.login(OWNER)?;
    session.insert("k", VALUE)?;
    match &*how {
        "type" => session.get::<u64>("k").map(|_| String::new()),
        "whole" => session.read::<Vec<u8>>().map(|_| String::new()),
        "encoding" => session.insert("t", FailsWithValue).map(|()| String::new()),
        "large" => session
            .insert("essay", VALUE.repeat(400))
            .map(|()| String::new()),
        "owner" => session.login(VALUE.repeat(20)).map(|()| String::new()),
        _ => session.insert("", VALUE).map(|()| String::new()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn types_errors_and_events_show_no_secret() {
    let events = Events::capture();
    let mut output = Output::default();
    output
        .canaries
        .extend([SECRET, OTHER_SECRET, OWNER, VALUE].map(str::to_owned));
    output
        .canaries
        .extend([SECRET, OTHER_SECRET].map(|text| hex(text.as_bytes())));
    output
        .canaries
        .extend([SECRET, OTHER_SECRET].map(|text| format!("{:?}", text.as_bytes())));

    // types
    let ring = keys().fallback(secret(OTHER_SECRET));
    output.debug(&secret(SECRET));
    output.debug(&ring);
    let builder = SessionLayer::builder(ring).audience("shop");
    output.debug(&builder);
    let layer = builder.build().expect("valid settings");
    output.debug(&layer);
    output.debug(&Prefix::Host);
    output.debug(&tower_sealed_session::SameSite::Lax);
    output.debug(&SystemClock);
    output.debug(&testing::TestClock::at(SystemClock.now()));
    let session = testing::session(&layer);
    session.login(OWNER).expect("short");
    session.insert("k", VALUE).expect("small");
    output.debug(&session);
    let own = testing::cookie(&layer, &session).expect("a cookie");
    let headers = HeaderMap::from_iter([(header::COOKIE, own)]);
    output.debug(&layer.open(&headers).await.expect("it opens"));
    owner_types(&mut output, &layer, headers).await;
    assert_eq!(
        format!("{session:?}"),
        "Session { entries: 1, owned: true, .. }"
    );
    let id = session.id().expect("entropy");
    output.debug(&id);
    output
        .canaries
        .extend([hex(id.as_bytes()), format!("{:?}", id.as_bytes())]);
    let mut service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Error>(axum::http::Response::new(()))
    }));
    output.debug(&service.clone().call(Request::new(())));
    let _ = service.call(Request::new(())).await;
    output.debug(&layer.layer(()));
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    let value = cookie
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair")
        .1
        .to_owned();
    output.debug(&cookie);

    // errors
    let refused: SecretError =
        Secret::new(format!("{SECRET},{OTHER_SECRET}")).expect_err("a comma");
    output.error(&refused);
    let env: EnvError = SessionLayer::from_env().expect_err("not set here");
    output.error(&env);
    output.debug(env.problem());
    let config: ConfigError = SessionLayer::builder(keys())
        .name("a b")
        .build()
        .expect_err("a space");
    output.error(&config);
    let errors = [
        session.get::<u64>("k").expect_err("text"),
        session.read::<Vec<u8>>().expect_err("a map"),
        session
            .insert("t", FailsWithValue)
            .expect_err("a failing value"),
        session.write(&FailsWithValue).expect_err("a failing value"),
        session
            .insert("essay", VALUE.repeat(400))
            .expect_err("too large"),
        session.login("").expect_err("empty"),
    ];
    for error in &errors {
        output.error(error);
        output.debug(&error.kind());
    }
    output.debug(errors[4].too_large().expect("sizes"));

    // whole requests at TRACE, with their responses
    let app = Router::new()
        .route("/", get(everything))
        .route("/{how}", get(fails))
        .layer(layer.clone());
    for how in ["type", "whole", "encoding", "large", "owner", "key"] {
        let request = Request::get(format!("/{how}"))
            .header(header::COOKIE, format!("{NAME}={value}"))
            .body(Body::empty());
        let response = tower::ServiceExt::oneshot(app.clone(), request.expect("a request")).await;
        let response = response.expect("infallible");
        output.error(response.extensions().get::<Error>().expect("an error"));
        output.debug(&response);
    }
    // a cookie of another secret
    let stranger = SessionLayer::new(tower_sealed_session::KeyRing::new(secret(OTHER_SECRET)));
    let planted = testing::cookie(&stranger, &session).expect("a cookie");
    let planted = planted.to_str().expect("ASCII").to_owned();
    let alone = Router::new()
        .route("/", get(everything))
        .layer(SessionLayer::new(keys()));
    let request = Request::get("/")
        .header(header::COOKIE, &planted)
        .body(Body::empty());
    let response = tower::ServiceExt::oneshot(alone, request.expect("a request")).await;
    output.debug(&response.expect("infallible"));
    output
        .canaries
        .push(planted.split_once('=').expect("a pair").1.to_owned());
    let bad = [
        format!("{NAME}={value}x"),
        format!("{NAME}={}", &value[..100]),
        format!("{NAME}={}A", &value[..value.len() - 1]),
    ];
    for line in bad.into_iter().chain([format!("{NAME}={value}")]) {
        let request = Request::get("/")
            .header(header::COOKIE, line)
            .body(Body::empty());
        let response = tower::ServiceExt::oneshot(app.clone(), request.expect("a request"))
            .await
            .expect("infallible");
        output.debug(&response);
        let sent = response.headers()[header::SET_COOKIE]
            .to_str()
            .expect("ASCII")
            .to_owned();
        output
            .canaries
            .push(sent.split(['=', ';']).nth(1).expect("a value").to_owned());
        let (_, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body");
        output.text += std::str::from_utf8(&body).expect("UTF-8");
    }
    let log = events.text();
    assert!(log.contains("renewed") && log.contains("rejected"), "{log}");
    assert_eq!(log.matches("event=\"failed\"").count(), 6, "{log}");
    assert!(log.contains("unknown_keys"), "{log}");
    output.text += &log;
    output.canaries.push(value);
    output.assert_no_canary();

    for public in public_types() {
        assert!(
            output.types.contains(&&*public),
            "{public} is public, but this test does not print it"
        );
    }
}

/// Prints the types of routes for visitors who are logged in.
async fn owner_types(output: &mut Output, layer: &SessionLayer, cookies: HeaderMap) {
    let look = service_fn(async |request: Request<()>| {
        let owner = Owner::from_extensions(request.extensions()).await;
        Ok::<_, Error>(axum::http::Response::new(owner.ok()))
    });
    let mut guarded = require_owner().layer(look);
    output.debug(&require_owner());
    output.debug(&guarded);
    output.debug(&guarded.call(Request::new(())));
    let mut request = Request::new(());
    *request.headers_mut() = cookies;
    let answer = layer.layer(guarded).call(request).await.expect("no error");
    let owner = answer.into_body().expect("logged in");
    assert_eq!(owner.as_str(), OWNER);
    output.debug(&owner);
}

/// The types that lib.rs exports, without traits and aliases.
fn public_types() -> Vec<String> {
    let (_, list) = include_str!("../../src/lib.rs")
        .split_once("pub use self::{")
        .expect("a list");
    let words = list
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_owned);
    words
        .filter(|word| word.starts_with(char::is_uppercase) && word != "Clock")
        .collect()
}
