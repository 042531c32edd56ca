//! The whole session in one encrypted, signed, expiring cookie: a Tower layer for Axum, after Starlette's
//! `SessionMiddleware`.
//!
//! No store is needed: what a handler puts into its [`Session`] travels with the visitor, sealed so that nobody
//! can read or change it, and ends when it is to end. A handler that does not ask for the session pays next to nothing.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_sealed_session::{Error, Session, SessionLayer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = SessionLayer::from_env()?; // SESSION_SECRET, SESSION_SECRET_FALLBACKS
//!     let app = Router::new().route("/", get(count)).layer(sessions);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//!
//! async fn count(session: Session) -> Result<String, Error> {
//!     let n: u64 = session.get("n")?.unwrap_or(0) + 1;
//!     session.insert("n", n)?;
//!     Ok(format!("visit {n}"))
//! }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | read and change a session | [`Session`] |
//! | choose names and timeouts | [`SessionLayerBuilder`] |
//! | give it its secret, and rotate it | [`KeyRing`] |
//! | know what is promised and what is not | [`guide::security`] |
//! | change what a session holds | [`guide::shape`] |
//! | come from Starlette or FastAPI | [`guide::starlette`] |
//! | outgrow the cookie | `guide::stores`, with the feature `store` |
//! | see what happens | [`guide::events`] |
//! | test your handlers | [`testing`] |
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `axum` | yes | the extractor, and [`Error`] as a response (on axum-core) |
//! | `starlette` | no | `compat`: sessions that come from Starlette, FastAPI or your own old system, or stay shared with it |
//! | `memory`, `redis`, `sqlite` | no | `store`: sessions in a store, or those that do not fit their cookies |
//! | `store` | no | the same for a store of your own |
//! | `conformance` | no | the tests that every store has to pass |
//!
//! Without any, this is a layer for any `http::Request<B>`; [`Session::from_extensions`] gets the session.
//!
//! # Where to put the layer
//!
//! Around the routes that use sessions, that is after them: in axum, `layer` acts on the routes added before it. Layers
//! added later stand outside. Put `TraceLayer`, `CsrfLayer` and time-outs outside, and compression on either side; a
//! service whose response body is not [`Default`] has to be boxed before it gets inside: "the trait `Default` is not
//! implemented for `ResponseBody<…>`" says that a `TraceLayer` stands directly inside this layer.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        feature = "conformance",
        feature = "redis",
        feature = "sqlite",
        feature = "starlette"
    )),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "optional parts are compiled but not used"
    )
)]

mod clock;
#[cfg(not(feature = "starlette"))]
mod compat;
#[cfg(feature = "starlette")]
pub mod compat;
mod cookie;
mod entries;
mod error;
mod event;
mod expiry;
#[cfg(feature = "axum")]
mod extract;
mod future;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../tests/inside/fuzz.rs"]
pub mod fuzz;
pub mod guide;
#[cfg(test)]
#[path = "../tests/inside/mod.rs"]
mod inside;
mod key;
mod layer;
mod random;
mod record;
mod request;
mod revocation;
mod seal;
mod service;
mod session;
#[cfg(not(feature = "store"))]
mod store;
#[cfg(feature = "store")]
pub mod store;
mod stored;
pub mod testing;

/// The README's examples compile.
#[cfg(all(
    doctest,
    feature = "axum",
    feature = "redis",
    feature = "sqlite",
    feature = "starlette"
))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub use time::OffsetDateTime;
pub use tower_cookies::cookie::SameSite;

#[cfg(feature = "starlette")]
pub use self::layer::SignedSessionLayer;
pub use self::{
    clock::{Clock, SystemClock},
    cookie::Prefix,
    error::{Error, ErrorKind, TooLarge},
    future::ResponseFuture,
    key::{EnvError, EnvProblem, KeyRing, Secret, SecretError},
    layer::{ConfigError, SessionLayer, SessionLayerBuilder},
    record::SessionId,
    service::SessionService,
    session::Session,
};
