//! This crate, used as in its documentation.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};
use serde_json::{Map, Value};
use tower_sealed_session::{Error, KeyRing, Session, SessionLayer};

use super::{Answer, Contestant, Large, Medium, OK, Size, Small, Values, is_known};

pub const OURS: Contestant = Contestant {
    name: "tower-sealed-session",
    cookie: "__Host-Http-session",
    app: |size| {
        let layer = SessionLayer::new(KeyRing::ephemeral().expect("entropy"));
        match size {
            Size::Small => app::<Small>(layer, size),
            Size::Medium => app::<Medium>(layer, size),
            Size::Large => app::<Large>(layer, size),
        }
    },
};

fn app<T: Values>(layer: SessionLayer, size: Size) -> Router {
    let by_value = Router::new()
        .route("/new-by-value", get(new_by_value))
        .with_state(Arc::new(size.values()));
    Router::new()
        .route("/untouched", get(async || OK))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new::<T>))
        .with_state(Arc::new(T::new()))
        .merge(by_value)
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

async fn new_by_value(
    State(values): State<Arc<Map<String, Value>>>,
    session: Session,
) -> Result<Answer, Error> {
    for (key, value) in &*values {
        session.insert(key, value)?;
    }
    Ok(OK)
}
