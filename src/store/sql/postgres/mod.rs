mod log;
mod queries;

use std::fmt;

use sqlx::{
    PgConnection, PgPool, Postgres,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgQueryResult},
};

use super::{
    env::from_env,
    fault::{failure, foreign_table},
    server::{Dialect, SqlServer},
};
use crate::store::error::{StoreError, StoreErrorKind};

/// Keeps sessions in PostgreSQL 14 or newer.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_sealed_session::{SessionLayer, store::{PostgresStore, prune_every}};
///
/// let store = PostgresStore::connect("postgres://user:password@localhost/app").await?;
/// store.create_schema().await?;
/// tokio::spawn(prune_every(Duration::from_secs(600), store.clone()));
/// let sessions = SessionLayer::from_env()?.store(store);
/// # Ok(()) }
/// ```
///
/// The table is `sessions`. The view `sessions_readable` shows it to humans.
/// [`SCHEMA`](Self::SCHEMA) is the SQL. Each operation is one statement that commits by itself.
///
/// # Connections
///
/// A store that was opened with a URL has up to ten connections of its own, which all clones share,
/// and a task that connects again when the server returns. Requests do not wait for that: while the
/// server is down, every call fails at once. Calls work again within a second of its return. A
/// server that accepts no writes, such as a standby, counts as down.
///
/// With [`from_pool`](Self::from_pool), the store uses the connections of the app's pool.
///
/// A connection whose statement was not answered in time is closed, and never used again.
///
/// # The log of revocations
///
/// A log ([`Revocations`](crate::Revocations)) is the table `session_revocations`, with a row for
/// each session, id or owner whose cookies are refused. It is created when the first instance that
/// uses a log starts, and expired rows are deleted every 30 seconds. The SQL for users who may not
/// create tables is [`REVOCATIONS_SCHEMA`](Self::REVOCATIONS_SCHEMA).
#[derive(Clone)]
pub struct PostgresStore {
    server: SqlServer<Postgres>,
}

impl PostgresStore {
    /// The SQL that creates the tables, the index and the view if they do not exist.
    pub const SCHEMA: &str = include_str!("schema.sql");

    /// The SQL that creates the table of a log of revocations if it does not exist.
    /// [`Revocations`](crate::Revocations) runs it if the table is missing.
    pub const REVOCATIONS_SCHEMA: &str = include_str!("revocations.sql");

    /// Connects to a URL: `postgres://user:password@host:5432/database`.
    ///
    /// Must be called within a Tokio runtime that lives as long as the store.
    ///
    /// With the feature `sql-tls`, add `?sslmode=verify-full` to encrypt the connection and to check
    /// the server's certificate, and `&sslrootcert=ca.pem` for a certificate authority of your own.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Config`] if the URL is invalid, or if the server is too old.
    /// - [`StoreErrorKind::Unreachable`], [`StoreErrorKind::TimedOut`],
    ///   [`StoreErrorKind::Denied`] or [`StoreErrorKind::ReadOnly`] if the connection fails.
    /// - [`StoreErrorKind::Schema`] if there is another app's table `sessions`.
    ///
    /// Each text says what to do, and none contains the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let server = SqlServer::connect(url).await?;
        let store = Self { server };
        // a missing table is not an error yet: `create_schema` may follow
        if store.has_table().await? {
            store.check().await?;
        }
        Ok(store)
    }

    /// Connects to the URL in the environment variable `SESSION_DB_URL`.
    ///
    /// # Errors
    ///
    /// The same as for [`connect`](Self::connect), and if the variable is not set.
    pub async fn from_env() -> Result<Self, StoreError> {
        from_env(Postgres::URL, Self::connect).await
    }

    /// Uses the app's own pool, and does not change its settings. Must be called within a Tokio
    /// runtime.
    ///
    /// If a connection breaks, the store closes the idle connections of the pool that do not
    /// answer.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        let server = SqlServer::from_pool(pool);
        Self { server }
    }

    /// Creates the tables, the index and the view if they do not exist, and adds missing columns.
    ///
    /// Several instances may call this at the same time.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Schema`] if another app has a table `sessions`.
    /// - [`StoreErrorKind::Denied`] if the user may not create tables.
    /// - Other kinds as for every call.
    pub async fn create_schema(&self) -> Result<(), StoreError> {
        if self.has_table().await? {
            self.check().await?;
        }
        self.run(Self::SCHEMA).await?;
        self.check().await
    }

    async fn has_table(&self) -> Result<bool, StoreError> {
        let mut call = self.server.call().await?;
        let query = sqlx::query_scalar("select to_regclass('sessions') is not null");
        let found = query.fetch_one(call.connection()).await;
        call.end(found)
    }

    /// Checks that the table has the columns that the statements use.
    async fn check(&self) -> Result<(), StoreError> {
        let columns =
            "select id, user_id, encrypted_data, expires_at, version from sessions limit 0";
        self.run(columns).await.map(drop).map_err(foreign_table)
    }

    async fn run(&self, sql: &'static str) -> Result<PgQueryResult, StoreError> {
        let mut call = self.server.call().await?;
        let made = sqlx::raw_sql(sql).execute(call.connection()).await;
        call.end(made)
    }
}

impl Dialect for Postgres {
    const KIND: &'static str = "postgres";
    const NAME: &'static str = "PostgreSQL";
    const URL: &'static str = "postgres://user:password@host:5432/database";

    fn address(options: &PgConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    fn kind(error: &dyn DatabaseError) -> StoreErrorKind {
        let code = error.code();
        match code.as_deref().unwrap_or_default() {
            // a table or a column is missing or has another type
            "42P01" | "42703" | "42804" | "42883" => StoreErrorKind::Schema,
            // the disk or the memory
            "53100" | "53200" => StoreErrorKind::Full,
            "25006" => StoreErrorKind::ReadOnly,
            // serialization, deadlock, lock not available
            "40001" | "40P01" | "55P03" => StoreErrorKind::Contended,
            "57014" => StoreErrorKind::TimedOut,
            // the database does not exist
            "3D000" => StoreErrorKind::Config,
            "42501" => StoreErrorKind::Denied,
            code if code.starts_with("28") => StoreErrorKind::Denied,
            // shutdown, crash, start-up; connection failure
            code if code.starts_with("57P") || code.starts_with("08") => {
                StoreErrorKind::Unreachable
            }
            _ => StoreErrorKind::Other,
        }
    }

    async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
        /// TID range scans, for pruning.
        const OLDEST: u32 = 14;
        if let Some(version) = connection.server_version_num()
            && version / 10_000 < OLDEST
        {
            let message = format!(
                "PostgreSQL {} is too old: use PostgreSQL {OLDEST} or newer",
                version / 10_000
            );
            return Err(StoreError::new(StoreErrorKind::Config).message(message));
        }
        let query = sqlx::query_scalar("select current_setting('transaction_read_only')::boolean");
        let read_only = query.persistent(false).fetch_one(connection).await;
        match read_only.map_err(|error| failure(error, Self::kind))? {
            true => Err(StoreError::new(StoreErrorKind::ReadOnly)),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("up", &self.server.is_up())
            .finish_non_exhaustive()
    }
}
