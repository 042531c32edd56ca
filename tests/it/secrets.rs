//! Nothing that is printed, logged or returned holds a secret, a key, a cookie, an owner or a value.

use std::{fmt::Debug, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, header},
    routing::get,
};
use serde::{Serialize, Serializer, ser::Error as _};
use tower::{Layer as _, Service as _, service_fn};
use tower_sealed_session::{
    Clock as _, ConfigError, EnvError, Error, Prefix, Secret, SecretError, Session, SessionLayer,
    SystemClock, testing,
};

use crate::support::{Events, NAME, OTHER_SECRET, SECRET, keys, secret};

const OWNER: &str = "canary-owner-5b1e";
const VALUE: &str = "canary-value-77c0";

/// Collects text, and then looks for canaries in it.
#[derive(Default)]
struct Aviary {
    text: String,
    canaries: Vec<String>,
    types: Vec<&'static str>,
}

impl Aviary {
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

    fn assert_silent(&self) {
        assert!(self.text.len() > 1000, "something was printed");
        for canary in &self.canaries {
            let at = self.text.find(canary.as_str());
            assert_eq!(at, None, "{canary} is in: {}", self.text);
        }
    }
}

struct Talkative;

impl Serialize for Talkative {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(VALUE))
    }
}

async fn everything(session: Session) -> Result<String, Error> {
    session.login(OWNER)?;
    session.insert("k", VALUE)?;
    session.remember(Duration::from_secs(60));
    let _ = session.get::<u64>("k");
    let _ = session.insert("t", Talkative);
    let _ = session.insert("essay", VALUE.repeat(400));
    Ok(format!("{session:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn no_public_type_no_error_and_no_event_shows_a_canary() {
    let events = Events::capture();
    let mut aviary = Aviary::default();
    aviary
        .canaries
        .extend([SECRET, OTHER_SECRET, OWNER, VALUE].map(str::to_owned));
    aviary
        .canaries
        .extend([SECRET, OTHER_SECRET].map(|text| hex(text.as_bytes())));
    aviary
        .canaries
        .extend([SECRET, OTHER_SECRET].map(|text| format!("{:?}", text.as_bytes())));

    // types
    let ring = keys().fallback(secret(OTHER_SECRET));
    aviary.debug(&secret(SECRET));
    aviary.debug(&ring);
    let builder = SessionLayer::builder(ring).audience("shop");
    aviary.debug(&builder);
    let layer = builder.build().expect("possible");
    aviary.debug(&layer);
    aviary.debug(&Prefix::Host);
    aviary.debug(&tower_sealed_session::SameSite::Lax);
    aviary.debug(&SystemClock);
    aviary.debug(&testing::TestClock::at(SystemClock.now()));
    let session = testing::session(&layer);
    session.login(OWNER).expect("short");
    session.insert("k", VALUE).expect("small");
    aviary.debug(&session);
    assert_eq!(
        format!("{session:?}"),
        "Session { entries: 1, owned: true, .. }"
    );
    let id = session.id().expect("entropy");
    aviary.debug(&id);
    aviary
        .canaries
        .extend([hex(id.as_bytes()), format!("{:?}", id.as_bytes())]);
    let mut service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Error>(axum::http::Response::new(()))
    }));
    aviary.debug(&service.clone().call(Request::new(())));
    let _ = service.call(Request::new(())).await;
    aviary.debug(&layer.layer(()));
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    let value = cookie
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair")
        .1
        .to_owned();
    aviary.debug(&cookie);

    // errors
    let refused: SecretError =
        Secret::new(format!("{SECRET},{OTHER_SECRET}")).expect_err("a comma");
    aviary.error(&refused);
    let env: EnvError = SessionLayer::from_env().expect_err("not set here");
    aviary.error(&env);
    aviary.debug(env.problem());
    let config: ConfigError = SessionLayer::builder(keys())
        .name("a b")
        .build()
        .expect_err("a space");
    aviary.error(&config);
    let errors = [
        session.get::<u64>("k").expect_err("text"),
        session.read::<Vec<u8>>().expect_err("a map"),
        session.insert("t", Talkative).expect_err("it says so"),
        session.write(&Talkative).expect_err("it says so"),
        session
            .insert("essay", VALUE.repeat(400))
            .expect_err("too large"),
        session.login("").expect_err("empty"),
    ];
    for error in &errors {
        aviary.error(error);
        aviary.debug(&error.kind());
    }
    aviary.debug(errors[4].too_large().expect("sizes"));

    // whole requests, at TRACE, answers included
    let app = Router::new()
        .route("/", get(everything))
        .layer(layer.clone());
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
        aviary.debug(&response);
        let sent = response.headers()[header::SET_COOKIE]
            .to_str()
            .expect("ASCII")
            .to_owned();
        aviary
            .canaries
            .push(sent.split(['=', ';']).nth(1).expect("a value").to_owned());
        let (_, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body");
        aviary.text += std::str::from_utf8(&body).expect("UTF-8");
    }
    let log = events.text();
    assert!(log.contains("renewed") && log.contains("rejected"), "{log}");
    aviary.text += &log;
    aviary.canaries.push(value);
    aviary.assert_silent();

    for public in public_types() {
        assert!(
            aviary.types.contains(&&*public),
            "{public} is public and was not printed here"
        );
    }
}

/// The names that lib.rs exports, except for traits and aliases.
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
