//! The floor: what a session in Redis needs at least. A read is one GET, and a write is one GET and
//! one SET, on one connection that all requests share. The cookie is the key.

use axum::{
    Router,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{COOKIE, SET_COOKIE},
    },
    routing::get,
};
use redis::{AsyncCommands as _, Client, RedisError, aio::MultiplexedConnection};

use crate::{
    Result,
    contestant::{LENGTH, text},
};

pub const NAME: &str = "floor";

/// The length of a value: 8 bytes of the counter, the text, and zeros.
const VALUE: usize = 600;

const DAY: u64 = 24 * 60 * 60;

type Server = State<MultiplexedConnection>;

pub async fn app(url: &str) -> Result<Router> {
    Ok(Router::new()
        .route("/visit/{user}", get(visit))
        .route("/read", get(read))
        .route("/write", get(write))
        .with_state(connect(url).await?))
}

/// Opens a connection without time limits, which cost a timer for each command.
pub async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(url)?;
    Ok(client
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

async fn visit(
    Path(user): Path<u64>,
    server: Server,
) -> Result<[(HeaderName, String); 1], StatusCode> {
    let key = format!("key={user}");
    let mut value = vec![0; 8];
    value.extend_from_slice(text().as_bytes());
    value.resize(VALUE, 0);
    set(server, &key, &value).await?;
    Ok([(SET_COOKIE, key)])
}

async fn read(State(mut server): Server, headers: HeaderMap) -> Result<String, StatusCode> {
    let value: Vec<u8> = server.get(key(&headers)?).await.map_err(failed)?;
    let text = value.get(8..8 + LENGTH).unwrap_or_default();
    Ok(text.len().to_string())
}

async fn write(State(mut server): Server, headers: HeaderMap) -> Result<String, StatusCode> {
    let key = key(&headers)?;
    let mut value: Vec<u8> = server.get(key).await.map_err(failed)?;
    let count = value.first_chunk_mut().ok_or(StatusCode::NOT_FOUND)?;
    let next = u64::from_be_bytes(*count) + 1;
    *count = next.to_be_bytes();
    set(State(server), key, &value).await?;
    Ok(next.to_string())
}

async fn set(State(mut server): Server, key: &str, value: &[u8]) -> Result<(), StatusCode> {
    server.set_ex(key, value, DAY).await.map_err(failed)
}

fn key(headers: &HeaderMap) -> Result<&str, StatusCode> {
    let cookie = headers.get(COOKIE).ok_or(StatusCode::NOT_FOUND)?;
    cookie.to_str().map_err(|_| StatusCode::NOT_FOUND)
}

fn failed(_: RedisError) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
