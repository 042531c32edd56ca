//! Who is measured, and what each is asked to do. Each is an axum router with the same routes, over its own sessions.

pub mod floor;
pub mod limit;
pub mod ours;
mod visit;

use axum::Router;

pub use self::visit::{Large, Medium, Size, Small, Values, Visit, Visitor};

/// A router with the routes of [`Visit::path`], for sessions of one size.
///
/// | route | what the handler does |
/// |---|---|
/// | `/untouched` | answers, without a look at the session |
/// | `/read` | reads `user_id` |
/// | `/write` | reads `user_id` and sets it to one more |
/// | `/new` | sets all values of that size |
///
/// Each answers 200 and `ok`; without a `user_id`, `/read` and `/write` answer 401.
#[derive(Clone, Copy)]
pub struct Contestant {
    pub name: &'static str,
    /// A cookie that it looks at.
    pub cookie: &'static str,
    pub app: fn(Size) -> Router,
}

/// Whether this is a `user_id` of a session here; in a store each write makes it one more.
pub fn is_known(user_id: Option<u64>) -> Answer {
    match user_id {
        Some(visit::USER_ID..) => OK,
        _ => (axum::http::StatusCode::UNAUTHORIZED, "nobody"),
    }
}

pub type Answer = (axum::http::StatusCode, &'static str);

pub const OK: Answer = (axum::http::StatusCode::OK, "ok");
