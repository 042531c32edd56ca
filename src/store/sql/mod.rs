//! Stores in SQL databases.
//!
//! Every statement commits by itself. A dropped request leaves no statement half done, and leaves
//! no open transaction on a connection of the pool.

#[cfg(feature = "sqlite")]
mod busy;
mod env;
mod fault;
mod log;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "_server")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub use self::mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
