//! A real PostgreSQL or MariaDB server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::processes::{Folder, free_port};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MariaDb,
}

/// A server with its own port and folder. It is killed when this value is dropped, and when the
/// tests end.
pub(crate) struct SqlServer {
    pub(crate) engine: Engine,
    folder: Folder,
    pub(crate) port: u16,
    options: Vec<String>,
    /// Kills the server when the test process ends. Its input is a pipe of this process.
    keeper: Option<Child>,
    pid: u32,
}

/// Runs `$@` until the input says `kill`. If the input ends without that, the test process ended,
/// and the folder is deleted too.
const KEEPER: &str = r#"
"$@" & pid=$!
echo $pid
read -r word
pkill -9 -P $pid
kill -9 $pid
wait $pid
[ "$word" = kill ] || rm -rf "$FOLDER"
"#;

/// The server that all tests share which do not disturb it.
pub(crate) fn shared(engine: Engine) -> &'static SqlServer {
    static POSTGRES: LazyLock<SqlServer> =
        LazyLock::new(|| SqlServer::start(Engine::Postgres, &[]));
    static MARIADB: LazyLock<SqlServer> = LazyLock::new(|| SqlServer::start(Engine::MariaDb, &[]));
    match engine {
        Engine::Postgres => &POSTGRES,
        Engine::MariaDb => &MARIADB,
    }
}

impl SqlServer {
    pub(crate) fn start(engine: Engine, options: &[&str]) -> Self {
        let mut server = Self::stopped(engine, options);
        server.initialize();
        server.restart();
        server
    }

    fn stopped(engine: Engine, options: &[&str]) -> Self {
        let folder = Folder::new();
        give_away(&folder.0);
        Self {
            engine,
            folder,
            port: free_port(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            keeper: None,
            pid: 0,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    fn initialize(&self) {
        let data = self.data();
        let mut command = self.unprivileged();
        match self.engine {
            Engine::Postgres => command
                .arg(program(self.engine, "initdb"))
                .args([
                    "--no-sync",
                    "--no-locale",
                    "-E",
                    "UTF8",
                    "-A",
                    "trust",
                    "-U",
                    "postgres",
                ])
                .arg("-D")
                .arg(&data),
            Engine::MariaDb => command
                .args(["mariadb-install-db", "--no-defaults", "--skip-test-db"])
                .args([
                    "--auth-root-authentication-method=normal",
                    "--innodb-log-file-size=4M",
                ])
                .arg(format!("--datadir={}", data.display())),
        };
        run(&mut command);
    }

    /// Starts the server again on the same port and with the same files.
    pub(crate) fn restart(&mut self) {
        let (data, port) = (self.data(), self.port.to_string());
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]);
        command.env("FOLDER", &self.folder.0);
        command.args(self.unprivileged_words());
        match self.engine {
            Engine::Postgres => command
                .arg(program(self.engine, "postgres"))
                .arg("-D")
                .arg(&data)
                .args(["-p", &port, "-k"])
                .arg(&self.folder.0)
                .args(["-c", "fsync=off", "-c", "max_connections=200"]),
            Engine::MariaDb => command
                .arg(program(self.engine, "mariadbd"))
                .arg("--no-defaults")
                .arg(format!("--datadir={}", data.display()))
                .arg(format!(
                    "--socket={}",
                    self.folder.0.join("socket").display()
                ))
                .args([
                    "--port",
                    &port,
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                ])
                .args([
                    "--innodb-log-file-size=4M",
                    // each commit is in the file at once, but not yet on the disk
                    "--innodb-flush-method=nosync",
                ]),
        };
        let log = std::fs::File::create(self.folder.0.join("log")).expect("a file");
        let keeper = command
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut keeper = keeper.expect("a shell");
        let mut pid = String::new();
        let output = keeper.stdout.take().expect("a pipe");
        let read = BufReader::new(output).read_line(&mut pid);
        read.expect("the keeper writes the process id");
        self.pid = pid.trim().parse().expect("a process id");
        self.keeper = Some(keeper);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.is_ready() {
            let log = std::fs::read_to_string(self.folder.0.join("log"));
            assert!(Instant::now() < deadline, "{:?}: {log:?}", self.engine);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_ready(&self) -> bool {
        let port = self.port.to_string();
        let mut ask = match self.engine {
            Engine::Postgres => Command::new(program(self.engine, "pg_isready")),
            Engine::MariaDb => Command::new("mariadb-admin"),
        };
        match self.engine {
            Engine::Postgres => ask.args(["-q", "-h", "127.0.0.1", "-p", &port]),
            Engine::MariaDb => ask.args([
                "--no-defaults",
                "-uroot",
                "-h127.0.0.1",
                "-P",
                &port,
                "ping",
            ]),
        };
        let status = ask.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.port), database)
    }

    /// The URL of a database behind that address.
    pub(crate) fn url_at(&self, address: &str, database: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("postgres://postgres@{address}/{database}?sslmode=disable"),
            Engine::MariaDb => format!("mysql://root@{address}/{database}?ssl-mode=DISABLED"),
        }
    }

    /// A database that every new server has.
    pub(crate) fn first_database(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "postgres",
            Engine::MariaDb => "mysql",
        }
    }

    /// Creates a new database, and returns its name.
    pub(crate) async fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.execute(self.first_database(), &format!("create database {name}"))
            .await;
        name
    }

    /// Runs statements in a database, as an administrator.
    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let url = self.url(database);
        match self.engine {
            Engine::Postgres => {
                let mut server = sqlx::PgConnection::connect(&url).await.expect("a server");
                server.execute(sql).await.expect("a statement");
            }
            Engine::MariaDb => {
                let mut server = sqlx::MySqlConnection::connect(&url)
                    .await
                    .expect("a server");
                server.execute(sql).await.expect("a statement");
            }
        }
    }

    /// The first column of the first row.
    pub(crate) async fn number(&self, database: &str, sql: &str) -> i64 {
        let url = self.url(database);
        let found = match self.engine {
            Engine::Postgres => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
                let mut server = sqlx::PgConnection::connect(&url).await.expect("a server");
                query.fetch_one(&mut server).await
            }
            Engine::MariaDb => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
                let mut server = sqlx::MySqlConnection::connect(&url)
                    .await
                    .expect("a server");
                query.fetch_one(&mut server).await
            }
        };
        found.expect("a number")
    }

    /// A standby of this PostgreSQL server.
    pub(crate) fn standby(&self) -> Self {
        let mut standby = Self::stopped(self.engine, &[]);
        let mut copy = standby.unprivileged();
        copy.arg(program(self.engine, "pg_basebackup"))
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            ])
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(standby.data());
        run(&mut copy);
        standby.restart();
        standby
    }

    /// Waits until a standby has all that is on its primary now.
    pub(crate) async fn catch_up_with(&self, primary: &Self) {
        let sent = "select (pg_current_wal_lsn() - '0/0')::bigint";
        let sent = primary.number("postgres", sent).await;
        let replayed = "select (pg_last_wal_replay_lsn() - '0/0')::bigint";
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.number("postgres", replayed).await < sent {
            assert!(Instant::now() < deadline, "the standby does not catch up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A folder that the server may write to.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.0.join(name);
        if !folder.exists() {
            std::fs::create_dir(&folder).expect("a folder");
            give_away(&folder);
        }
        folder
    }

    /// Kills the server with `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let mut input = keeper.stdin.take().expect("a pipe");
            input.write_all(b"kill\n").expect("the keeper reads");
            keeper.wait().expect("it ran");
        }
    }

    /// Stops all processes of the server with SIGSTOP. Its sockets stay open.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid.to_string();
        // the server first, so that it starts no process in between
        run(Command::new("kill").args([signal, &pid]));
        // there may be no other process
        let _ = Command::new("pkill").args([signal, "-P", &pid]).status();
    }

    /// The contents of all its files.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    // a temporary file may be gone
                    false => all.extend(std::fs::read(path).unwrap_or_default()),
                }
            }
        }
        all
    }

    /// All that a database holds, as the server's own program writes it. Bytes are in hexadecimal.
    pub(crate) fn dump(&self, database: &str) -> Vec<u8> {
        let port = self.port.to_string();
        let mut dump = match self.engine {
            Engine::Postgres => Command::new(program(self.engine, "pg_dump")),
            Engine::MariaDb => Command::new("mariadb-dump"),
        };
        match self.engine {
            Engine::Postgres => dump.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port]),
            Engine::MariaDb => dump.args([
                "--no-defaults",
                "--hex-blob",
                "-uroot",
                "-h127.0.0.1",
                "-P",
                &port,
            ]),
        };
        run(dump.arg(database))
    }

    fn unprivileged(&self) -> Command {
        let words = self.unprivileged_words();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    }

    /// The servers refuse to run as root.
    fn unprivileged_words(&self) -> &'static [&'static str] {
        match is_root() {
            true => &[
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
            ],
            false => &["env"],
        }
    }
}

impl Drop for SqlServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lets the server write to a folder.
fn give_away(folder: &Path) {
    if is_root() {
        run(Command::new("chown").arg("nobody").arg(folder));
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout == b"0\n"
}

/// Debian does not put PostgreSQL's server into the path.
fn program(engine: Engine, name: &str) -> PathBuf {
    let folders: Vec<PathBuf> = match engine {
        Engine::Postgres => {
            let versions = std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten();
            let versions = versions
                .filter_map(Result::ok)
                .map(|entry| entry.path().join("bin"));
            versions.collect()
        }
        Engine::MariaDb => ["/usr/sbin", "/usr/bin"].map(PathBuf::from).into(),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs: Vec<_> = folders
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .filter(|program| program.exists())
        .collect();
    programs.sort();
    programs.pop().unwrap_or_else(|| {
        let package = match engine {
            Engine::Postgres => "postgresql",
            Engine::MariaDb => "mariadb-server",
        };
        panic!("{name} is missing: install it by `apt-get install -y {package}`")
    })
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?} does not start ({error}): run `tests/run`, which installs it")
    });
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
