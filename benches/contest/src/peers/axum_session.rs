//! A server-side map in memory. The cookie holds the plain id.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::{Router, extract::State, routing::get};
use axum_session::{
    Session, SessionConfig, SessionLayer, SessionMode, SessionNullPool, SessionStore,
};
use serde_json::{Map, Value};

use crate::contestants::{Answer, Contestant, OK, is_known};

pub const AXUM_SESSION: Contestant = Contestant {
    name: "axum_session, memory",
    cookie: "session",
    app: |size| {
        Router::new()
            .route("/untouched", get(async || OK))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/new", get(new))
            .route("/new-by-value", get(new))
            .with_state(Arc::new(size.values()))
            .layer(SessionLayer::new(store()))
    },
};

fn store() -> SessionStore<SessionNullPool> {
    let config = SessionConfig::default()
        .with_mode(SessionMode::Persistent)
        .with_secure(true);
    let store = pin!(SessionStore::new(None, config));
    match store.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(store)) => store,
        _ => unreachable!("without a database there is nothing to wait for"),
    }
}

async fn read(session: Session<SessionNullPool>) -> Answer {
    is_known(session.get("user_id"))
}

async fn write(session: Session<SessionNullPool>) -> Answer {
    let user_id: Option<u64> = session.get("user_id");
    session.set("user_id", user_id.unwrap_or(0) + 1);
    is_known(user_id)
}

async fn new(
    State(values): State<Arc<Map<String, Value>>>,
    session: Session<SessionNullPool>,
) -> Answer {
    for (key, value) in &*values {
        session.set(key, value);
    }
    OK
}
