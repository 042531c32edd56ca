//! The command line, as a real program.

/// Runs each test with each kind of store.
macro_rules! on_each_store {
    ($($(#[$attribute:meta])* $test:ident;)*) => {
        $(mod $test {
            use crate::cli::Kind;

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn sqlite() {
                super::$test(Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn postgres() {
                super::$test(Kind::Postgres).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn mariadb() {
                super::$test(Kind::MariaDb).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn redis() {
                super::$test(Kind::Redis).await;
            }
        })*
    };
}

mod doctor;
mod guide;
mod help;
mod import;
mod inspect;
mod keyset;
mod large;
mod old_ids;
mod output;
mod pasted;
mod prometheus;
mod prune;
mod relocate;
mod revoke;
mod scan;
mod secrets;
mod stats;
mod stores;

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tower_sealed_session::store::{self, AnyStore};

use crate::{
    processes::{Folder, programs},
    stores::{
        redis_server::RedisServer,
        sql_server::{Engine, shared},
    },
    support::SECRET,
};

/// A run of the program that has ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The one line of JSON on stdout.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Fails unless the exit code is this one.
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(f, "exit code {code}\n{stdout}\n{stderr}")
    }
}

/// The program with the tests' secret, and with no other setting.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(programs().join("sealed-session"));
    for name in [
        "REDIS_URL",
        "REVOCATIONS_URL",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SESSION_") {
            command.env_remove(name);
        }
    }
    command.env("SESSION_SECRET", SECRET).args(arguments);
    command
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Run {
    run_with(arguments, b"", |command| command)
}

/// Runs the program with that stdin, and with changes of the command.
fn run_with(
    arguments: &[&str],
    stdin: &[u8],
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Run {
    let mut command = program(arguments);
    ended(change(&mut command), stdin)
}

/// Runs a command to its end with that stdin. An error names the package that it is in.
fn ended(command: &mut Command, stdin: &[u8]) -> Run {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        let name = command.get_program().display();
        panic!("{name} does not start ({error}): if it is missing, `apt-get install -y {name}`")
    });
    let mut input = child.stdin.take().expect("piped");
    // it may not read it
    let _ = input.write_all(stdin);
    drop(input);
    outcome(child)
}

fn outcome(child: Child) -> Run {
    let output = child.wait_with_output().expect("it ends");
    Run {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Runs the program to its end, and returns the most memory that it had, in KiB.
fn measured(arguments: &[&str]) -> (Run, u64) {
    let child = program(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"));
            let Some(line) = line else { break };
            let kib = line.split_whitespace().nth(1).expect("a number");
            peak = peak.max(kib.parse::<u64>().expect("a number"));
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let run = outcome(child);
    (run, watch.join().expect("no panic"))
}

/// Runs the program on a terminal of 80 columns. Its stdout and stderr are one there.
fn on_a_terminal(arguments: &[&str], env: &[(&str, &str)]) -> Run {
    let inner = program(arguments);
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.display())).collect();
    let mut script = Command::new("script");
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.env("TERM", "xterm").envs(env.iter().copied());
    let line = format!("stty cols 80 rows 24; exec {}", words.join(" "));
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    ended(&mut script, b"")
}

/// A kind of store that the program reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
    Redis,
}

/// A new, empty store of a kind.
struct TestStore {
    url: String,
    store: AnyStore,
    redis: Option<RedisServer>,
    folder: Folder,
}

impl TestStore {
    async fn new(kind: Kind) -> Self {
        let folder = Folder::new();
        let mut redis = None;
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}", folder.0.join("sessions.db").display()),
            Kind::Postgres | Kind::MariaDb => {
                let server = shared(match kind {
                    Kind::Postgres => Engine::Postgres,
                    _ => Engine::MariaDb,
                });
                server.url(&server.database().await)
            }
            Kind::Redis => redis.insert(RedisServer::start(&[])).url(),
        };
        let store = store::connect(&url).await.expect("a server");
        store.create_schema().await.expect("a schema");
        Self {
            url,
            store,
            redis,
            folder,
        }
    }

    /// All bytes that the store keeps.
    async fn bytes(&self) -> Vec<u8> {
        use tower_sealed_session::store::Operate as _;
        let (mut bytes, mut from) = (Vec::new(), None);
        loop {
            let part = self.store.scan(from).await.expect("a store");
            for (key, row) in part.sessions {
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(&row.bytes);
            }
            from = part.next;
            if from.is_none() {
                return bytes;
            }
        }
    }
}

/// Writes a file to a folder, and returns its path.
fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path.into_os_string().into_string().expect("UTF-8")
}
