//! tower-sessions with its default settings, and an expiry of one day.

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tower_sessions::{
    Expiry, Session, SessionManagerLayer, SessionStore, cookie::time::Duration, session::Error,
};

use crate::contestant::text;

pub const NAME: &str = "tower-sessions";

pub fn app(store: impl SessionStore + Clone) -> Router {
    let layer =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::days(1)));
    Router::new()
        .route("/login/{user}", get(log_in))
        .route("/visit/{user}", get(visit))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(layer)
}

async fn log_in(Path(user): Path<u64>, session: Session) -> Result<(), StatusCode> {
    session.cycle_id().await.map_err(failed)?;
    session.insert("user", user).await.map_err(failed)?;
    visit(session).await
}

async fn visit(session: Session) -> Result<(), StatusCode> {
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
