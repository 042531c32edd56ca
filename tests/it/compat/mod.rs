//! Sessions migrated from Starlette or shared with it.

mod browser;
mod config;
mod dual;
mod formats;
mod logout;
mod migrate;
mod moves;
mod passive;
mod share;
mod upstream;
mod vectors;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    extract::Query,
    routing::{get, post},
};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tower_sealed_session::{
    Error, Session, SessionLayerBuilder, SignedSessionLayer,
    compat::{Format as _, LegacyCookie, LegacyEntries, Starlette},
    testing::TestClock,
};

use crate::support::{Answer, Visitor, on_a_clock, post as post_to};

pub(crate) const OLD_SECRET: &str = "v8Kq1Zt4Xo2Rm7Yc0Ue5Hs9Jw3Pb6NfQ";
const DAY: Duration = Duration::from_secs(24 * 3600);
const FORTNIGHT: Duration = Duration::from_secs(14 * 24 * 3600);
/// The name of our own cookie.
const OURS: &str = "__Host-Http-session";

/// The start of the test clock, in whole seconds.
const START: i64 = 1_800_000_000;

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("in range")
}

fn starlette() -> Starlette {
    Starlette::new([OLD_SECRET]).expect("a secret")
}

fn old_cookie() -> LegacyCookie {
    LegacyCookie::new(starlette(), FORTNIGHT)
}

fn user(entries: &LegacyEntries<'_>) -> Option<String> {
    entries.get("user")
}

/// The cookie value that the legacy app would set.
fn old_value(json: &str, seconds: i64) -> String {
    starlette().seal(json, moment(seconds))
}

/// A visitor with the legacy cookie only.
fn with_old(json: &str, seconds: i64) -> Visitor {
    let mut visitor = Visitor::default();
    visitor
        .jar
        .insert("session".to_owned(), old_value(json, seconds));
    visitor
}

fn builder() -> (SessionLayerBuilder, TestClock) {
    let (builder, clock) = on_a_clock();
    let builder = builder.idle_timeout(FORTNIGHT).absolute_timeout(FORTNIGHT);
    (builder, clock)
}

fn migrating() -> (Router, TestClock) {
    let (builder, clock) = builder();
    let layer = builder.migrate(old_cookie().owner(user), moment(START) + 30 * DAY);
    (app().layer(layer.build().expect("valid settings")), clock)
}

fn dual() -> (Router, TestClock) {
    let (builder, clock) = builder();
    let layer = builder.dual_write(old_cookie().owner(user), moment(START) + 30 * DAY);
    (app().layer(layer.build().expect("valid settings")), clock)
}

fn sharing() -> (Router, TestClock) {
    let clock = TestClock::at(moment(START));
    let layer = SignedSessionLayer::with_clock(old_cookie().owner(user), clock.clone());
    (app().layer(layer.expect("valid settings")), clock)
}

/// Shows the session, as in the example.
async fn show(session: Session) -> Result<String, Error> {
    let entries: BTreeMap<String, Box<RawValue>> = session.read()?;
    Ok(serde_json::to_string(&entries).expect("JSON"))
}

async fn set(session: Session, Query(entry): Query<Vec<(String, String)>>) -> Result<(), Error> {
    session.insert(&entry[0].1, &entry[1].1)
}

async fn login(session: Session, Query(user): Query<Vec<(String, String)>>) -> Result<(), Error> {
    let (_, user) = &user[0];
    session.login(user)?;
    session.insert("user", user)
}

fn app() -> Router {
    Router::new()
        .route("/", get(show))
        .route("/set", post(set))
        .route("/login", post(login))
        .route(
            "/only-login",
            post(async |session: Session| session.login("ada")),
        )
        .route("/renew", post(async |session: Session| session.renew()))
        .route("/clear", post(async |session: Session| session.clear()))
        .route("/logout", post(async |session: Session| session.logout()))
        .route(
            "/owner",
            get(async |session: Session| session.owner().unwrap_or_default()),
        )
        .route(
            "/id",
            get(async |session: Session| session.id().map(|id| format!("{:x?}", id.as_bytes()))),
        )
        .route(
            "/created",
            get(async |session: Session| session.created_at().unix_timestamp().to_string()),
        )
        .route("/untouched", get(async || "untouched"))
}

impl Visitor {
    async fn post(&mut self, app: &Router, path: &str) -> Answer {
        let answer = post_to(app, path, &self.cookie_line()).await;
        self.keep(&answer);
        answer
    }

    async fn body(&mut self, app: &Router, path: &str) -> String {
        self.get(app, path).await.body
    }

    /// The contents of the legacy cookie: the JSON and the time of its signature.
    fn old(&self) -> Option<(String, i64)> {
        let value = self.jar.get("session")?;
        let signed = starlette().open(value.as_bytes()).expect("authentic");
        let json = String::from_utf8(signed.json).expect("UTF-8");
        Some((json, signed.at.unix_timestamp()))
    }

    fn has_ours(&self) -> bool {
        self.jar.contains_key(OURS)
    }
}

/// The names of the cookies that a response sets (`+`) and removes (`-`).
fn sets(answer: &Answer) -> Vec<String> {
    let cookies = answer.cookies();
    let shown = cookies.iter().map(|cookie| {
        let removed = cookie.value().is_empty();
        format!("{}{}", if removed { "-" } else { "+" }, cookie.name())
    });
    shown.collect()
}
