//! tower-sessions with its default settings, and an expiry of one day. Its pool has the default
//! settings of sqlx, which pings a connection before each use.

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tower_sessions::{
    Expiry, Session, SessionManagerLayer, cookie::time::Duration, session::Error,
};
use tower_sessions_sqlx_store::{PostgresStore, sqlx::postgres::PgPoolOptions};

use crate::{
    Result,
    contestant::{CONNECTIONS, Contestant, text},
};

/// `pings`: whether the pool pings a connection before each use.
pub async fn start(url: &str, pings: bool) -> Result<Contestant> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(pings);
    let store = PostgresStore::new(pool.connect(url).await?);
    store.migrate().await?;
    let layer =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::days(1)));
    let app = Router::new()
        .route("/login/{user}", get(log_in))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(layer);
    Contestant::start("tower-sessions", "tower_sessions.session", app).await
}

async fn log_in(Path(user): Path<u64>, session: Session) -> Result<(), StatusCode> {
    session.cycle_id().await.map_err(failed)?;
    session.insert("user", user).await.map_err(failed)?;
    session.insert("text", text()).await.map_err(failed)?;
    session.insert("count", 0).await.map_err(failed)
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let text: Option<String> = session.get("text").await.map_err(failed)?;
    Ok(text.unwrap_or_default().len().to_string())
}

async fn write(session: Session) -> Result<String, StatusCode> {
    let count = session.get("count").await.map_err(failed)?;
    let count = count.unwrap_or(0_u64) + 1;
    session.insert("count", count).await.map_err(failed)?;
    Ok(count.to_string())
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
