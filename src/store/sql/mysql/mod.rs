mod log;
mod queries;

use std::fmt;

use sqlx::{
    MySql, MySqlConnection, MySqlPool,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlDatabaseError},
};

use super::{
    env::from_env,
    fault::{failure, foreign_table},
    server::{Dialect, SqlServer},
};
use crate::store::error::{StoreError, StoreErrorKind};

/// Keeps sessions in MariaDB 10.6 or newer, or in MySQL 8.0 or newer.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_sealed_session::{SessionLayer, store::{MySqlStore, prune_every}};
///
/// let store = MySqlStore::connect("mysql://user:password@localhost/app").await?;
/// store.create_schema().await?;
/// tokio::spawn(prune_every(Duration::from_secs(600), store.clone()));
/// let sessions = SessionLayer::from_env()?.store(store);
/// # Ok(()) }
/// ```
///
/// The table is `sessions`. The view `sessions_readable` shows it to humans.
/// [`SCHEMA`](Self::SCHEMA) is the SQL. Each operation is one statement that commits by itself.
///
/// The connections are those of
#[cfg_attr(
    feature = "postgres",
    doc = "[`PostgresStore`](super::PostgresStore#connections):"
)]
#[cfg_attr(not(feature = "postgres"), doc = "`PostgresStore`:")]
/// while the server is down or accepts no writes, every call fails at once, and a connection whose
/// statement was not answered in time is closed.
///
/// The tests use MariaDB 10.11. MySQL's own server is not tested.
///
/// # The log of revocations
///
/// A log ([`Revocations`](crate::Revocations)) is the table `session_revocations`, with a row for
/// each session, id or owner whose cookies are refused. It is created when the first instance that
/// uses a log starts, and expired rows are deleted every 30 seconds. The SQL for users who may not
/// create tables is [`REVOCATIONS_SCHEMA`](Self::REVOCATIONS_SCHEMA).
#[derive(Clone)]
pub struct MySqlStore {
    server: SqlServer<MySql>,
}

impl MySqlStore {
    /// The SQL that creates the tables and the view if they do not exist.
    pub const SCHEMA: &str = include_str!("schema.sql");

    /// The SQL that creates the table of a log of revocations if it does not exist.
    /// [`Revocations`](crate::Revocations) runs it if the table is missing.
    pub const REVOCATIONS_SCHEMA: &str = include_str!("revocations.sql");

    /// Connects to a URL: `mysql://user:password@host:3306/database`.
    ///
    /// Must be called within a Tokio runtime that lives as long as the store.
    ///
    /// With the feature `sql-tls`, add `?ssl-mode=VERIFY_IDENTITY` to encrypt the connection and to
    /// check the server's certificate, and `&ssl-ca=ca.pem` for a certificate authority of your own.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Config`] if the URL is invalid.
    /// - [`StoreErrorKind::Unreachable`], [`StoreErrorKind::TimedOut`],
    ///   [`StoreErrorKind::Denied`] or [`StoreErrorKind::ReadOnly`] if the connection fails.
    /// - [`StoreErrorKind::Schema`] if there is another app's table `sessions`.
    ///
    /// Each text says what to do, and none contains the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        // MariaDB's own clients accept its name as a scheme
        let renamed = url
            .strip_prefix("mariadb://")
            .map(|rest| format!("mysql://{rest}"));
        let server = SqlServer::connect(renamed.as_deref().unwrap_or(url)).await?;
        let store = Self { server };
        // a missing table is not an error yet: `create_schema` may follow
        if store.has_column("id").await? {
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
        from_env(MySql::URL, Self::connect).await
    }

    /// Uses the app's own pool, and does not change its settings. Must be called within a Tokio
    /// runtime.
    ///
    /// If a connection breaks, the store closes the idle connections of the pool that do not
    /// answer.
    #[must_use]
    pub fn from_pool(pool: MySqlPool) -> Self {
        let server = SqlServer::from_pool(pool);
        Self { server }
    }

    /// Creates the tables and the view if they do not exist, and adds missing columns.
    ///
    /// Several instances may call this at the same time.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Schema`] if another app has a table `sessions`.
    /// - [`StoreErrorKind::Denied`] if the user may not create tables.
    /// - Other kinds as for every call.
    pub async fn create_schema(&self) -> Result<(), StoreError> {
        if self.has_column("id").await? {
            self.check().await?;
            if !self.has_column("created_at").await? {
                self.add_created_at().await?;
            }
        }
        self.run(Self::SCHEMA).await?;
        self.check().await
    }

    async fn has_column(&self, name: &str) -> Result<bool, StoreError> {
        let mut call = self.server.call().await?;
        let count = sqlx::query_scalar(
            "select count(*) from information_schema.columns \
             where table_schema = database() and table_name = 'sessions' and column_name = ?",
        );
        let count: Result<i64, _> = count.bind(name).fetch_one(call.connection()).await;
        Ok(call.end(count)? > 0)
    }

    async fn add_created_at(&self) -> Result<(), StoreError> {
        let add = "alter table sessions add column \
                   created_at bigint not null default (floor(unix_timestamp(now(3)) * 1000))";
        match self.run(add).await {
            // another instance was faster
            Err(_) if self.has_column("created_at").await? => Ok(()),
            added => added,
        }
    }

    /// Checks that the table has the columns that the statements use.
    async fn check(&self) -> Result<(), StoreError> {
        let columns =
            "select id, user_id, encrypted_data, expires_at, version from sessions limit 0";
        self.run(columns).await.map_err(foreign_table)
    }

    async fn run(&self, sql: &'static str) -> Result<(), StoreError> {
        let mut call = self.server.call().await?;
        let made = sqlx::raw_sql(sql).execute(call.connection()).await;
        call.end(made).map(drop)
    }
}

impl Dialect for MySql {
    const KIND: &'static str = "mysql";
    const NAME: &'static str = "MySQL";
    const URL: &'static str = "mysql://user:password@host:3306/database";

    fn address(options: &MySqlConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    fn kind(error: &dyn DatabaseError) -> StoreErrorKind {
        let error = error.try_downcast_ref::<MySqlDatabaseError>();
        match error.map_or(0, MySqlDatabaseError::number) {
            // a table or a column is missing
            1146 | 1054 => StoreErrorKind::Schema,
            1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => StoreErrorKind::Denied,
            // the disk, the table, a temporary file, the quota
            1021 | 1114 | 3 | 1041 => StoreErrorKind::Full,
            // the option `read_only`, a read-only transaction, InnoDB in read-only mode
            1290 | 1792 | 1836 => StoreErrorKind::ReadOnly,
            // lock wait, deadlock, the row has changed since it was read
            1205 | 1213 | 1020 => StoreErrorKind::Contended,
            // the statement took too long
            1969 | 3024 => StoreErrorKind::TimedOut,
            1049 => StoreErrorKind::Config,
            // shutdown, killed, not in the cluster
            1053 | 1317 | 1927 | 1047 => StoreErrorKind::Unreachable,
            _ => StoreErrorKind::Other,
        }
    }

    async fn check(connection: &mut MySqlConnection) -> Result<(), StoreError> {
        let query = sqlx::query_scalar("select cast(@@global.read_only as char)");
        let read_only: Result<String, _> = query.persistent(false).fetch_one(connection).await;
        match &*read_only.map_err(|error| failure(error, Self::kind))? {
            "0" | "OFF" => Ok(()),
            _ => Err(StoreError::new(StoreErrorKind::ReadOnly)),
        }
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("up", &self.server.is_up())
            .finish_non_exhaustive()
    }
}
