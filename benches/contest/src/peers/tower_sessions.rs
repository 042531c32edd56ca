//! A server-side map in memory. The cookie holds the encrypted id.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Map, Value};
use time::Duration;
use tower_sessions::{
    Expiry, MemoryStore, Session, SessionManagerLayer,
    cookie::{Key, SameSite},
    session::Error,
};

use crate::contestants::{Answer, Contestant, OK, is_known};

pub const TOWER_SESSIONS: Contestant = Contestant {
    name: "tower-sessions, memory, private",
    cookie: "session",
    app: |size| {
        let layer = SessionManagerLayer::new(MemoryStore::default())
            .with_name("session")
            .with_same_site(SameSite::Lax)
            .with_expiry(Expiry::OnInactivity(Duration::days(1)))
            .with_private(Key::generate());
        Router::new()
            .route("/untouched", get(async || OK))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/new", get(new))
            .route("/new-by-value", get(new))
            .with_state(Arc::new(size.values()))
            .layer(layer)
    },
};

async fn read(session: Session) -> Result<Answer, StatusCode> {
    Ok(is_known(session.get("user_id").await.map_err(failed)?))
}

async fn write(session: Session) -> Result<Answer, StatusCode> {
    let user_id: Option<u64> = session.get("user_id").await.map_err(failed)?;
    let next = user_id.unwrap_or(0) + 1;
    session.insert("user_id", next).await.map_err(failed)?;
    Ok(is_known(user_id))
}

async fn new(
    State(values): State<Arc<Map<String, Value>>>,
    session: Session,
) -> Result<Answer, StatusCode> {
    for (key, value) in &*values {
        let inserted = session.insert_value(key, value.clone()).await;
        inserted.map_err(failed)?;
    }
    Ok(OK)
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
