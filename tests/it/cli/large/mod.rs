//! Large files and large tables. By default they are small; `.ci/nightly cli` sets the sizes.

mod file;
mod import;
mod prune;

use std::collections::BTreeMap;

use redis::cmd;
use tower_sealed_session::store::Operate as _;

use super::{TestStore, ended, run};
use crate::stores::{
    redis_client,
    sql_server::{Engine, SqlServer, shared},
};

/// A size that the environment can set.
pub(super) fn size(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |size| size.parse().expect("a number"))
}

/// Does something for each number below `count`, 16 at the same time. The answers come in any
/// order.
pub(super) async fn each<T, F>(
    count: u64,
    act: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let tasks = (0..16).map(|first| {
        let act = act.clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for n in (first..count).step_by(16) {
                answers.push(act(n).await);
            }
            answers
        })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.extend(task.await.expect("no panic"));
    }
    answers
}

/// What `stats --exact` tells of a store.
pub(super) fn exact(store: &TestStore) -> serde_json::Value {
    run(&["stats", "--exact", "--json", "--store", &store.url])
        .exits(0)
        .json()
}

/// All rows that `stats --exact` counts, of whatever kind.
fn all(stats: &serde_json::Value) -> u64 {
    let kinds = [
        "sessions",
        "ended",
        "moved",
        "imported",
        "unreadable",
        "expired",
    ];
    let counts = kinds.map(|kind| stats[kind].as_u64().expect("a number"));
    counts.iter().sum()
}

/// A row as the store has it: its version, its end and its bytes.
type Kept = (u64, i128, Vec<u8>);

impl TestStore {
    fn server(&self) -> Option<(&'static SqlServer, &str)> {
        let engine = match self.url.split_once(':')?.0 {
            "postgres" => Engine::Postgres,
            "mysql" => Engine::MariaDb,
            _ => return None,
        };
        let path = self.url.rsplit_once('/')?.1;
        Some((shared(engine), path.split('?').next()?))
    }

    /// The number of rows, as another client counts them.
    async fn counted_elsewhere(&self) -> u64 {
        let sql = "select count(*) from sessions";
        if let Some((server, database)) = self.server() {
            let rows = server.number(database, sql).await;
            return u64::try_from(rows).expect("a count");
        }
        if self.redis.is_some() {
            let pattern = format!("session:{}", "[0-9a-f]".repeat(32));
            let keys: Vec<String> = redis_client::run(&self.url, cmd("KEYS").arg(pattern)).await;
            return keys.len() as u64;
        }
        let mut sqlite = std::process::Command::new("sqlite3");
        let sqlite = sqlite.arg(self.folder.0.join("sessions.db")).arg(sql);
        let told = ended(sqlite, b"").exits(0).stdout;
        told.trim().parse().expect("a number")
    }

    /// All that it holds: a dump, or the files of SQLite and Redis.
    fn dump(&self) -> Vec<u8> {
        if let Some((server, database)) = self.server() {
            return server.dump(database);
        }
        if let Some(redis) = &self.redis {
            return redis.files();
        }
        let mut files = Vec::new();
        for file in std::fs::read_dir(&self.folder.0).expect("a folder") {
            let file = file.expect("a file");
            // and its log
            if file
                .file_name()
                .to_string_lossy()
                .starts_with("sessions.db")
            {
                files.extend(std::fs::read(file.path()).expect("a file"));
            }
        }
        files
    }

    async fn kept(&self) -> BTreeMap<Vec<u8>, Kept> {
        let (mut kept, mut from) = (BTreeMap::new(), None);
        loop {
            let part = self.store.scan(from).await.expect("a store");
            for (key, row) in part.sessions {
                let row = (
                    row.version.get(),
                    row.expires.unix_timestamp_nanos(),
                    row.bytes.to_vec(),
                );
                kept.insert(key.as_bytes().to_vec(), row);
            }
            from = part.next;
            if from.is_none() {
                return kept;
            }
        }
    }
}
