//! Stores for sessions that are not kept in their cookies: opaque bytes by key.
//!
//! A store knows nothing of cookies, cryptography or serde. The layer seals the bytes before it
//! stores them and checks them after it loads them. The store only has to keep them, and to decide
//! races between writers.
//!
//! To use a database that has no store here, implement [`Store`], test it with the suite of the
//! feature `conformance`, and pass it to [`SessionLayer::store`](crate::SessionLayer::store).

#[cfg(feature = "store")]
mod any;
mod backend;
#[cfg(feature = "store")]
mod call;
#[cfg(feature = "store")]
mod clock_skew;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "store")]
mod connect;
mod contract;
mod error;
#[cfg(feature = "_server")]
mod link;
pub(crate) mod log;
#[cfg(all(feature = "metrics", feature = "store"))]
mod measure;
#[cfg(feature = "memory")]
mod memory;
mod operate;
#[cfg(feature = "store")]
mod prune;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "_sql")]
mod sql;
#[cfg(feature = "_server")]
mod up;

pub(crate) use self::backend::{Backend, Deadline, Lane, Turn};
#[cfg(feature = "store")]
#[doc(hidden)] // for the command line
pub use self::connect::kind_of;
#[cfg(feature = "store")]
#[doc(hidden)] // for this project's own tests
pub use self::log::{AnyLog, Entry, Position, RevocationLog};
#[cfg(all(feature = "metrics", feature = "store"))]
pub use self::measure::measure_every;
#[cfg(feature = "memory")]
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "_sql")]
pub use self::sql::*;
#[cfg(feature = "store")]
pub use self::{
    any::AnyStore,
    clock_skew::{ClockSkew, clock_skew},
    connect::{connect, from_env},
    prune::prune_every,
};
pub use self::{
    contract::{Creation, MAX_BYTES, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    operate::{Cursor, Health, Operate, Pruned, Scanned, Statistics},
};
