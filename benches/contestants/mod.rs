//! The contestants and their requests. Each contestant is an axum router with the same routes and
//! its own session layer.

pub mod floor;
pub mod limit;
pub mod ours;
mod visit;

use axum::Router;

pub use self::visit::{Large, Medium, Size, Small, Values, Visit, Visitor};

/// A router with the routes of [`Visit::path`], for sessions of one size.
///
/// | route | handler |
/// |---|---|
/// | `/untouched` | answers without using the session |
/// | `/read` | reads `user_id` |
/// | `/write` | reads `user_id` and increments it |
/// | `/new` | sets all values of that size |
/// | `/new-by-value` | the same, with one call for each value |
///
/// Each answers 200 and `ok`. Without a `user_id`, `/read` and `/write` answer 401.
#[derive(Clone, Copy)]
pub struct Contestant {
    pub name: &'static str,
    /// The name of a cookie that it reads.
    pub cookie: &'static str,
    pub app: fn(Size) -> Router,
}

/// Checks the `user_id` of a session. With a store, each write increments it, so larger values are
/// valid too.
pub fn is_known(user_id: Option<u64>) -> Answer {
    match user_id {
        Some(visit::USER_ID..) => OK,
        _ => (axum::http::StatusCode::UNAUTHORIZED, "no session"),
    }
}

pub type Answer = (axum::http::StatusCode, &'static str);

pub const OK: Answer = (axum::http::StatusCode::OK, "ok");
