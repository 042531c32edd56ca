//! A real Redis Cluster: three primaries, with or without a replica each.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{Cmd, FromRedisValue, Value, cmd};

use super::{
    redis_client::{self, catches_up, replication, wait_until},
    redis_server::{LOG, program, show_log},
};
use crate::processes::{Folder, free_port};

/// A cluster with its own ports and folder. It is killed when this value is dropped, and when the
/// tests end.
pub(super) struct RedisCluster {
    folder: Folder,
    pub(super) nodes: Vec<Node>,
}

pub(super) struct Node {
    pub(super) port: u16,
    words: Vec<String>,
    folder: PathBuf,
    keeper: Option<Child>,
    pid: u32,
}

/// Runs `$@` until the input ends, as it does when the test process ends. The first argument is the
/// file for the output.
const KEEPER: &str = r#"
log=$1; shift
"$@" >>"$log" 2>&1 & pid=$!
echo $pid
read -r word
kill -9 $pid
wait $pid
"#;

/// The clusters that no test uses now.
static IDLE: Mutex<Vec<RedisCluster>> = Mutex::new(Vec::new());

/// A cluster of a test that does not disturb it. The next test gets it without the data.
pub(super) struct Lent(Option<RedisCluster>);

impl Lent {
    pub(super) async fn new() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let cluster = match idle {
            Some(cluster) => cluster,
            None => RedisCluster::start(&Setup::default()).await,
        };
        for node in &cluster.nodes[..3] {
            node.run::<Value>(&cmd("FLUSHALL")).await;
        }
        Self(Some(cluster))
    }

    pub(super) fn url(&self) -> String {
        self.0.as_ref().expect("until it is dropped").url()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        IDLE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(self.0.take());
    }
}

pub(super) struct Setup<'a> {
    pub(super) primaries: usize,
    pub(super) replicas: usize,
    pub(super) options: &'a [&'a str],
    /// After how many milliseconds a silent node counts as failed. On a busy machine, a node may be
    /// silent for a second without a fault.
    pub(super) node_timeout: u64,
    /// The ports that the primaries announce, if they are not their own.
    pub(super) announced: &'a [u16],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 1,
            options: &[],
            node_timeout: 5_000,
            announced: &[],
        }
    }
}

impl RedisCluster {
    pub(super) async fn start(setup: &Setup<'_>) -> Self {
        let ports: Vec<_> = (0..setup.primaries).map(|_| free_port()).collect();
        Self::start_at(&ports, setup).await
    }

    /// Starts the primaries at these ports.
    pub(super) async fn start_at(ports: &[u16], setup: &Setup<'_>) -> Self {
        let mut cluster = Self {
            folder: Folder::new(),
            nodes: Vec::new(),
        };
        let replicas = (0..setup.primaries * setup.replicas).map(|_| free_port());
        for (n, port) in ports.iter().copied().chain(replicas).enumerate() {
            let mut options: Vec<_> = setup.options.iter().map(|&it| it.to_owned()).collect();
            if let Some(announced) = setup.announced.get(n) {
                options.extend(["--cluster-announce-port".to_owned(), announced.to_string()]);
            }
            cluster.add_node(port, setup.node_timeout, options);
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(
            cluster
                .nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.port)),
        );
        create.args([
            "--cluster-replicas",
            &setup.replicas.to_string(),
            "--cluster-yes",
        ]);
        match setup.primaries {
            // the command refuses fewer than three
            1 => {
                let mut all = cmd("CLUSTER");
                let all = all.arg("ADDSLOTSRANGE").arg(0).arg(16383);
                cluster.nodes[0].run::<Value>(all).await;
            }
            _ => run(&mut create),
        }
        cluster.is_ok().await;
        cluster.replicas_catch_up().await;
        cluster
    }

    /// Starts one more node, which is not in the cluster yet.
    pub(super) fn add_node(&mut self, port: u16, node_timeout: u64, options: Vec<String>) {
        let folder = self.folder.0.join(port.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        let words = [
            "--port",
            &port.to_string(),
            "--cluster-port",
            &free_port().to_string(),
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            &node_timeout.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--repl-diskless-sync-delay",
            "0",
            "--dir",
            &folder.display().to_string(),
        ];
        let words = words.map(str::to_owned).into_iter().chain(options);
        let mut node = Node {
            port,
            words: words.collect(),
            folder,
            keeper: None,
            pid: 0,
        };
        node.restart();
        self.nodes.push(node);
    }

    pub(super) fn url(&self) -> String {
        self.nodes[0].url()
    }

    /// Waits until all nodes say that the cluster is complete, and agree who has which slot.
    pub(super) async fn is_ok(&self) {
        self.is_ok_without(None).await;
    }

    /// The same, of all other nodes than this one, which has lost its slots.
    pub(super) async fn is_ok_without(&self, lost: Option<usize>) {
        let lost = lost.map(|n| self.nodes[n].port);
        let others = || self.nodes.iter().filter(|node| Some(node.port) != lost);
        wait_until(async || {
            let mut seen = Vec::new();
            for node in others() {
                let info: String = node.run(cmd("CLUSTER").arg("INFO")).await;
                if !(info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")) {
                    return false;
                }
                seen.push(node.owners_of_slots().await);
            }
            let has_lost = seen[0].iter().all(|owner| Some(owner.0) != lost);
            has_lost && seen.iter().all(|owners| *owners == seen[0])
        })
        .await;
    }

    /// Waits until each replica has all that its primary has now.
    pub(super) async fn replicas_catch_up(&self) {
        for node in &self.nodes {
            let primary = replication(&node.url(), "master_port").await;
            if !primary.is_empty() {
                catches_up(&node.url(), &format!("redis://127.0.0.1:{primary}")).await;
            }
        }
    }

    /// Runs `redis-cli --cluster` with these arguments.
    pub(super) async fn manage(&self, arguments: Vec<String>) {
        let done = tokio::task::spawn_blocking(move || {
            run(Command::new("redis-cli").arg("--cluster").args(arguments));
        });
        done.await.expect("it runs");
    }
}

impl Node {
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn restart(&mut self) {
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER, "keeper"])
            .arg(self.folder.join(LOG))
            .arg(program())
            .args(&self.words);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.stderr(Stdio::null()).spawn().expect("sh runs");
        let mut pid = String::new();
        let stdout = keeper.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut pid).expect("a line");
        self.pid = pid.trim().parse().expect("a process");
        self.keeper = Some(keeper);
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let program = program();
            assert!(
                Instant::now() < deadline,
                "{program} does not listen: install it by `apt-get install -y redis-server`"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the node with `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().expect("it ran");
        }
    }

    /// Sends a signal, such as `-STOP`.
    pub(super) fn signal(&self, signal: &str) {
        run(Command::new("kill").args([signal, &self.pid.to_string()]));
    }

    /// The ports of the primaries that this node reaches, with their slots.
    async fn owners_of_slots(&self) -> Vec<(u16, String)> {
        let nodes: String = self.run(cmd("CLUSTER").arg("NODES")).await;
        let mut owners: Vec<_> = nodes
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words[2].contains("master") && !words[2].contains("fail"))
            .map(|words| (port_of(words[1]), words[8..].join(" ")))
            .collect();
        owners.sort();
        owners
    }

    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        redis_client::run(&self.url(), command).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // a stopped process has to be killed too
        self.kill();
        show_log(&self.folder);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The port in `127.0.0.1:6379@16379,name`.
fn port_of(address: &str) -> u16 {
    let (host, _) = address.split_once('@').expect("a bus port");
    let (_, port) = host.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|error| {
        panic!("{command:?} ({error}): install it by `apt-get install -y redis-server procps`")
    });
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
}
