//! Not a session crate: a map, written by hand as JSON text into one encrypted cookie.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
    http::StatusCode,
    routing::get,
};
use axum_extra::extract::{
    PrivateCookieJar,
    cookie::{Cookie, Key, SameSite},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::Duration;

use crate::contestants::{Answer, Contestant, OK, is_known};

pub const AXUM_EXTRA: Contestant = Contestant {
    name: "axum-extra, PrivateCookieJar",
    cookie: NAME,
    app: |size| {
        let shared = Shared(Arc::new(Inner {
            key: Key::generate(),
            values: size.values(),
        }));
        Router::new()
            .route("/untouched", get(async || OK))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/new", get(new))
            .route("/new-by-value", get(new_by_value))
            .with_state(shared)
    },
};

const NAME: &str = "session";

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    key: Key,
    values: Map<String, Value>,
}

impl FromRef<Shared> for Key {
    fn from_ref(shared: &Shared) -> Self {
        shared.0.key.clone()
    }
}

#[derive(Deserialize)]
struct OnlyUserId {
    user_id: Option<u64>,
}

async fn read(jar: PrivateCookieJar) -> Answer {
    let cookie = jar.get(NAME);
    let values = cookie.and_then(|cookie| serde_json::from_str(cookie.value()).ok());
    is_known(values.and_then(|values: OnlyUserId| values.user_id))
}

async fn write(jar: PrivateCookieJar) -> Result<(PrivateCookieJar, Answer), StatusCode> {
    let cookie = jar.get(NAME);
    let values = cookie.and_then(|cookie| serde_json::from_str(cookie.value()).ok());
    let mut values: Map<String, Value> = values.unwrap_or_default();
    let user_id = values.get("user_id").and_then(Value::as_u64);
    values.insert("user_id".to_owned(), (user_id.unwrap_or(0) + 1).into());
    Ok((jar.add(cookie_of(&values)?), is_known(user_id)))
}

async fn new(
    State(Shared(shared)): State<Shared>,
    jar: PrivateCookieJar,
) -> Result<(PrivateCookieJar, Answer), StatusCode> {
    Ok((jar.add(cookie_of(&shared.values)?), OK))
}

async fn new_by_value(
    State(Shared(shared)): State<Shared>,
    jar: PrivateCookieJar,
) -> Result<(PrivateCookieJar, Answer), StatusCode> {
    let mut values = Map::new();
    for (key, value) in &shared.values {
        values.insert(key.clone(), value.clone());
    }
    Ok((jar.add(cookie_of(&values)?), OK))
}

fn cookie_of(values: &Map<String, Value>) -> Result<Cookie<'static>, StatusCode> {
    let text = serde_json::to_string(values).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Cookie::build((NAME, text))
        .path("/")
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::days(1))
        .build())
}
