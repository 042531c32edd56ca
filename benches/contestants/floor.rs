//! The cost of a router whose layer does nothing. The overhead of a session is measured against it.

use axum::{Router, routing::get};
use tower_layer::Identity;

use super::{Contestant, OK};

pub const NAME: &str = "floor";

pub const FLOOR: Contestant = Contestant {
    name: NAME,
    cookie: "session",
    app: |_| {
        Router::new()
            .route("/untouched", get(async || OK))
            .route("/read", get(async || OK))
            .route("/write", get(async || OK))
            .route("/new", get(async || OK))
            .route("/new-by-value", get(async || OK))
            .layer(Identity::new())
    },
};
