//! This crate with its default settings.

use axum::{Router, extract::Path, routing::get};
use tower_sealed_session::{Error, KeyRing, Session, SessionLayer, store::PostgresStore};

use crate::{
    Result,
    contestant::{Contestant, text},
};

pub async fn start(url: &str) -> Result<Contestant> {
    // it opens at most `CONNECTIONS` connections
    let store = PostgresStore::connect(url).await?;
    store.create_schema().await?;
    let layer = SessionLayer::new(KeyRing::ephemeral()?).store(store);
    let app = Router::new()
        .route("/login/{user}", get(log_in))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(layer);
    Contestant::start("tower-sealed-session", "sessions", app).await
}

async fn log_in(Path(user): Path<u64>, session: Session) -> Result<(), Error> {
    session.login(user)?;
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
