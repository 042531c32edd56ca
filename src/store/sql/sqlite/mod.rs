mod log;
mod queries;

use std::{fmt, path::Path, str::FromStr as _, time::Duration};

use super::{
    busy::{opening, patiently},
    env::from_env,
    fault::foreign_table,
};
use crate::store::error::{StoreError, StoreErrorKind};
use sqlx::{
    Sqlite, SqlitePool,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

/// Keeps sessions in an SQLite file, for one machine whose processes share the file.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_sealed_session::{SessionLayer, store::{SqliteStore, prune_every}};
///
/// let store = SqliteStore::connect("sqlite:sessions.db").await?;
/// store.create_schema().await?;
/// tokio::spawn(prune_every(Duration::from_secs(600), store.clone()));
/// let sessions = SessionLayer::from_env()?.store(store);
/// # Ok(()) }
/// ```
///
/// The table is `sessions`. The view `sessions_readable` shows it to humans.
/// [`SCHEMA`](Self::SCHEMA) is the SQL. Clones share one store.
///
/// On Unix, a new file has the mode 0600: only its user can read it. An existing file keeps its
/// mode.
///
/// The file is in WAL mode. Back it up with `sqlite3 sessions.db ".backup copy.db"`, not by copying
/// it. A power failure can lose the last commits. Killing a process loses none.
///
/// # The log of revocations
///
/// A log ([`Revocations`](crate::Revocations)) is the table `session_revocations`, with a row for
/// each session, id or owner whose cookies are refused. It is created when the first instance that
/// uses a log starts, and expired rows are deleted every 30 seconds. The SQL for users who may not
/// create tables is [`REVOCATIONS_SCHEMA`](Self::REVOCATIONS_SCHEMA).
#[derive(Clone)]
pub struct SqliteStore {
    readers: SqlitePool,
    /// One connection. Writers of this process queue for it, and do not have to poll for the lock
    /// of the file.
    writer: SqlitePool,
}

const READERS: u32 = 4;

impl SqliteStore {
    /// The SQL that creates the table, the indexes and the view if they do not exist.
    pub const SCHEMA: &str = include_str!("schema.sql");

    /// The SQL that creates the table of a log of revocations if it does not exist.
    /// [`Revocations`](crate::Revocations) runs it if the table is missing.
    pub const REVOCATIONS_SCHEMA: &str = include_str!("revocations.sql");

    /// Opens a file, such as `sqlite:sessions.db`, and creates it if it does not exist.
    ///
    /// `sqlite::memory:` is a database in memory, which ends with the process.
    ///
    /// # Errors
    ///
    /// Fails if the URL is invalid, if the file cannot be opened or is not a database, or if it has
    /// another app's table `sessions`.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let invalid_url = || {
            StoreError::new(StoreErrorKind::Config).message(
                "invalid SQLite URL: use `sqlite:sessions.db` or `sqlite:/path/to/sessions.db`",
            )
        };
        let Some(place) = url.strip_prefix("sqlite:") else {
            return Err(invalid_url());
        };
        let (file, settings) = place.split_once('?').unwrap_or((place, ""));
        let in_memory = file == ":memory:" || settings.contains("mode=memory");
        // without a name, SQLite would open a separate temporary file for each connection
        if file.trim_start_matches('/').is_empty() && !in_memory {
            return Err(invalid_url());
        }
        let options =
            SqliteConnectOptions::from_str(url).map_err(|error| invalid_url().because(error))?;
        let options = options.busy_timeout(Duration::ZERO);
        let options = match in_memory {
            true => options,
            false if settings.contains("mode=ro") || settings.contains("immutable=") => options,
            false => {
                let creates = !settings.contains("mode=rw") || settings.contains("mode=rwc");
                if creates {
                    create_private(options.get_filename());
                }
                options
                    .create_if_missing(creates)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
            }
        };
        let pool = |connections| {
            SqlitePoolOptions::new()
                .min_connections(1)
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(1))
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_with(options.clone())
        };
        let writer = opening(|| pool(1)).await.map_err(|error| {
            match error.kind() {
                StoreErrorKind::Other | StoreErrorKind::Unreachable => {
                    let file = options.get_filename().display();
                    error.message(format!(
                        "the SQLite file {file} cannot be opened: check that its folder exists, that this user may write to it, and that it is a database"
                    ))
                }
                _ => error,
            }
        })?;
        let readers = match in_memory {
            // each connection would have its own database
            true => writer.clone(),
            false => opening(|| pool(READERS)).await?,
        };
        let store = Self { readers, writer };
        // a missing table is not an error yet: `create_schema` may follow
        if store.has_table().await? {
            store.check().await?;
        }
        Ok(store)
    }

    /// Opens the URL in the environment variable `SESSION_DB_URL`, as [`connect`](Self::connect)
    /// does.
    ///
    /// # Errors
    ///
    /// The same as for [`connect`](Self::connect), and if the variable is not set.
    pub async fn from_env() -> Result<Self, StoreError> {
        from_env("sqlite:sessions.db", Self::connect).await
    }

    /// Uses the app's own pool, and does not change its settings.
    #[must_use]
    pub fn from_pool(pool: SqlitePool) -> Self {
        Self {
            readers: pool.clone(),
            writer: pool,
        }
    }

    /// Creates the tables, the indexes and the view if they do not exist, and adds missing columns.
    ///
    /// Several instances may call this at the same time.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Schema`] if another app has a table `sessions`.
    /// - [`StoreErrorKind::ReadOnly`] if the file is read-only.
    /// - Other kinds as for every call.
    pub async fn create_schema(&self) -> Result<(), StoreError> {
        let run = |sql: &'static str| patiently(move || sqlx::raw_sql(sql).execute(&self.writer));
        if self.has_table().await? {
            // another app's table is not changed
            self.check().await?;
            if !self.has_column("created_at").await? {
                // the default of a column that is added must be a constant
                let add = "alter table sessions add column created_at integer not null default 0";
                match run(add).await {
                    // another instance was faster
                    Err(_) if self.has_column("created_at").await? => {}
                    added => {
                        added?;
                    }
                }
            }
        }
        run(Self::SCHEMA).await?;
        self.check().await
    }

    /// Runs a statement that changes rows, and returns the number of changed rows.
    async fn write<'a>(
        &'a self,
        statement: impl Fn() -> Query<'a, Sqlite, SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let writer = &self.writer;
        let made = patiently(|| statement().execute(writer)).await;
        made.map(|done| done.rows_affected())
    }

    async fn has_table(&self) -> Result<bool, StoreError> {
        let count: i64 = patiently(|| {
            // SQLite ignores case in table names
            sqlx::query_scalar(
                "select count(*) from sqlite_schema where name = 'sessions' collate nocase",
            )
            .fetch_one(&self.writer)
        })
        .await?;
        Ok(count > 0)
    }

    async fn has_column(&self, name: &'static str) -> Result<bool, StoreError> {
        let count: i64 = patiently(|| {
            sqlx::query_scalar("select count(*) from pragma_table_info('sessions') where name = ?")
                .bind(name)
                .fetch_one(&self.writer)
        })
        .await?;
        Ok(count > 0)
    }

    /// Checks that the table has the columns that the statements use.
    async fn check(&self) -> Result<(), StoreError> {
        let columns =
            "select id, user_id, encrypted_data, expires_at, version from sessions limit 0";
        let checked = patiently(|| sqlx::query(columns).execute(&self.writer)).await;
        checked.map(drop).map_err(foreign_table)
    }
}

/// Creates an empty file that only its user can read, if there is none. SQLite gives its mode to
/// the files of the log. If that fails, SQLite says why when it opens the file.
#[cfg(unix)]
fn create_private(file: &Path) {
    use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, sync::Mutex};

    /// When a process closes a file, it loses all its locks on it. So no other store of this
    /// process may open the file between its creation and its closing.
    static CREATING: Mutex<()> = Mutex::new(());
    let _creating = CREATING.lock();
    let mut options = OpenOptions::new();
    let _ = options.write(true).create_new(true).mode(0o600).open(file);
}

#[cfg(not(unix))]
fn create_private(_: &Path) {}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("connections", &self.readers.size())
            .finish_non_exhaustive()
    }
}
