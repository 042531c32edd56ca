//! This crate, used as in its documentation.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};
use tower_sealed_session::{Error, KeyRing, Session, SessionLayer};

use super::{Answer, Contestant, Large, Medium, OK, Size, Small, Values, is_known};

pub const OURS: Contestant = Contestant {
    name: "tower-sealed-session",
    cookie: "__Host-Http-session",
    app: |size| {
        let layer = SessionLayer::new(KeyRing::ephemeral().expect("entropy"));
        match size {
            Size::Small => app::<Small>(layer),
            Size::Medium => app::<Medium>(layer),
            Size::Large => app::<Large>(layer),
        }
    },
};

/// The routes with a layer.
pub fn app<T: Values>(layer: SessionLayer) -> Router {
    Router::new()
        .route("/untouched", get(async || OK))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new::<T>))
        .with_state(Arc::new(T::new()))
        .layer(layer)
}

async fn read(session: Session) -> Result<Answer, Error> {
    Ok(is_known(session.get("user_id")?))
}

async fn write(session: Session) -> Result<Answer, Error> {
    let user_id: Option<u64> = session.get("user_id")?;
    session.insert("user_id", user_id.unwrap_or(0) + 1)?;
    Ok(is_known(user_id))
}

async fn new<T: Values>(State(values): State<Arc<T>>, session: Session) -> Result<Answer, Error> {
    session.write(&*values)?;
    Ok(OK)
}
