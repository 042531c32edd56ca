//! The whole session in one encrypted, signed, expiring cookie: a Tower layer for Axum.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod cookie;
mod ended;
mod entries;
mod error;
mod event;
mod expiry;
#[cfg(feature = "axum")]
mod extract;
mod future;
pub mod guide;
mod key;
mod layer;
mod random;
mod record;
mod seal;
mod service;
mod session;
mod slot;
pub mod testing;
#[cfg(test)]
mod vectors;

pub use tower_cookies::cookie::SameSite;

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
