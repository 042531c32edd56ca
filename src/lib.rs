//! A Tower layer for Axum that keeps the whole session in one encrypted, signed, expiring cookie.
//! It is used like Starlette's `SessionMiddleware`, whose cookie is only signed.
//!
//! No server-side store is needed. The browser keeps the entries of a [`Session`] in its cookie.
//! Only the server can read or change them, and the server enforces when the session ends. A
//! request whose handler does not take the session costs almost nothing.
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
//! | read a session where there is no response: sockets, gRPC, workers | [`SessionLayer::open`] |
//! | admit only visitors who are logged in | [`Owner`], [`require_owner`](require_owner()) |
//! | send others to a login page, and back after it | [`SessionLayer::login_page`], [`same_site_path`] |
//! | refuse a disabled account or another tenant on each request | `SessionLayer::check`, with the feature `check` |
//! | let a page poll without keeping its visitor logged in | [`Session::passive`] |
//! | ask for the password again | [`Session::logged_in_within`] |
//! | choose names and timeouts | [`SessionLayerBuilder`] |
//! | configure and rotate the secret | [`KeyRing`] |
//! | know what is promised and what is not | [`guide::security`] |
//! | change what a session holds | [`guide::shape`] |
//! | move from Starlette or FastAPI | [`guide::starlette`] |
//! | know whether I need a store, and what it costs | `guide::outgrowing`, with the feature `store` |
//! | make logout final while sessions are in cookies | `guide::revoking`, with the feature `store` |
//! | keep sessions in a store | `guide::stores`, with the feature `store` |
//! | move from a JSON file of sessions | `guide::from_a_file`, with the feature `store` |
//! | log, count, measure and alert | [`guide::events`] |
//! | test your handlers | [`testing`] |
//!
//! # Features
//!
//! | feature | default | adds | crates |
//! |---|---|---|---|
//! | `axum` | yes | the extractors, and [`Error`] as a response (on axum-core) | |
//! | `check` | no | `SessionLayer::check`: the app decides on each request whether the owner may use the session | 1 |
//! | `starlette` | no | `compat`: sessions of Starlette, FastAPI or another system | 1 |
//! | `memory` | no | a store in this process's memory | 1 |
//! | `redis` | no | a store in Redis 6.2 or newer, or Valkey | 51 |
//! | `redis-tls` | no | TLS for `redis` (needs a C compiler) | 9 |
//! | `postgres` | no | a store in PostgreSQL 14 or newer (needs Rust 1.94) | 82 |
//! | `mysql` | no | a store in MariaDB 10.6 or MySQL 8.0, or newer (needs Rust 1.94) | 72 |
//! | `sql-tls` | no | TLS for `postgres` and `mysql` (needs a C compiler) | 8 |
//! | `sqlite` | no | a store in an SQLite file (needs a C compiler and Rust 1.94) | 75 |
//! | `metrics` | no | counters, gauges and histograms through the `metrics` facade | 3 |
//! | `store` | no | support for a store of your own | 1 |
//! | `tools` | no | `tools`: look at cookies and rows from outside an app | 1 |
//! | `conformance` | no | the tests that every store must pass | 1 |
//!
//! Without features, this is a layer for any `http::Request<B>`; use [`Session::from_extensions`].
//! The minimum Rust version is 1.89.
//!
//! # Where to put the layer
//!
//! Add it after the routes that use sessions. In axum, `layer` applies to the routes that were
//! added before it, and a layer that is added later is outside the earlier ones. Put `TraceLayer`,
//! `CsrfLayer` and time-outs outside, and compression on either side. If the error says "the trait
//! `Default` is not implemented for `ResponseBody<…>`", a `TraceLayer` is directly inside this
//! layer: move it outside, or box the response body of the service inside.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "starlette", feature = "tools", feature = "check")),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "optional parts always compile"
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
mod id;
#[cfg(test)]
#[path = "../tests/inside/mod.rs"]
mod inside;
mod key;
mod layer;
#[cfg(not(feature = "metrics"))]
mod metrics;
#[cfg(feature = "metrics")]
pub mod metrics;
mod owner;
mod random;
mod record;
mod request;
mod require_owner;
mod revocation;
mod same_site;
mod seal;
mod service;
mod session;
#[cfg(not(feature = "store"))]
mod store;
#[cfg(feature = "store")]
pub mod store;
mod stored;
pub mod testing;
mod text;
#[cfg(feature = "tools")]
pub mod tools;

/// The examples of the README compile.
#[cfg(all(doctest, feature = "axum", feature = "store"))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub use ::cookie::SameSite;
pub use time::OffsetDateTime;

#[cfg(feature = "store")]
pub use self::layer::OwnedSession;
#[cfg(feature = "starlette")]
pub use self::layer::SignedSessionLayer;
#[cfg(feature = "store")]
pub use self::revocation::Revocations;
pub use self::{
    clock::{Clock, SystemClock},
    cookie::Prefix,
    error::{Error, ErrorKind, TooLarge},
    future::ResponseFuture,
    id::SessionId,
    key::{EnvError, EnvProblem, KeyRing, Secret, SecretError},
    layer::{ConfigError, SessionLayer, SessionLayerBuilder},
    owner::Owner,
    require_owner::{RequireOwner, RequireOwnerFuture, RequireOwnerService, require_owner},
    same_site::same_site_path,
    service::SessionService,
    session::{Session, SessionView},
};
