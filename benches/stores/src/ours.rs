//! This crate with its default settings.

use axum::{Router, extract::Path, routing::get};
use tower_sealed_session::{Error, KeyRing, Session, SessionLayer, store::Store};

use crate::{Result, contestant::text};

pub const NAME: &str = "tower-sealed-session";

pub fn app(store: impl Store) -> Result<Router> {
    let layer = SessionLayer::new(KeyRing::ephemeral()?).store(store);
    Ok(Router::new()
        .route("/login/{user}", get(log_in))
        .route("/visit/{user}", get(visit))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(layer))
}

async fn log_in(Path(user): Path<u64>, session: Session) -> Result<(), Error> {
    session.login(user)?;
    visit(session).await
}

async fn visit(session: Session) -> Result<(), Error> {
    session.insert("text", text())?;
    session.insert("count", 0)
}

async fn read(session: Session) -> Result<String, Error> {
    let text: Option<String> = session.get("text")?;
    Ok(text.unwrap_or_default().len().to_string())
}

async fn write(session: Session) -> Result<String, Error> {
    let count = session.get("count")?.unwrap_or(0_u64) + 1;
    session.insert("count", count)?;
    Ok(count.to_string())
}
