//! A real Redis server for one test.

use std::{
    fs::File,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::processes::{Folder, free_port};

/// A server with its own port and folder. It is killed when this value is dropped.
pub(crate) struct RedisServer {
    folder: Folder,
    pub(crate) port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut server = Self::stopped(arguments);
        server.restart();
        server
    }

    fn stopped(arguments: &[&str]) -> Self {
        Self {
            folder: Folder::new(),
            port: free_port(),
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            child: None,
        }
    }

    /// A server that watches other servers.
    pub(crate) fn sentinel() -> Self {
        let mut server = Self::stopped(&[]);
        let config = server.folder.0.join("sentinel.conf");
        std::fs::write(&config, format!("port {}\nbind 127.0.0.1\n", server.port))
            .expect("written");
        server.run(|command| command.arg(config).arg("--sentinel"));
        server
    }

    /// Starts the server again on the same port and with the same files.
    pub(crate) fn restart(&mut self) {
        let (port, arguments) = (self.port.to_string(), self.arguments.clone());
        let folder = self.folder.0.clone();
        self.run(|command| {
            command
                .args(["--port", &port, "--bind", "127.0.0.1"])
                // each command is in the file at once, but not yet on the disk
                .args(["--appendonly", "yes", "--appendfsync", "no"])
                .args(["--save", "", "--loglevel", "warning"])
                .arg("--dir")
                .arg(folder)
                .args(arguments)
        });
    }

    /// Runs the program, and waits until it listens.
    fn run(&mut self, configure: impl FnOnce(&mut Command) -> &mut Command) {
        let program = program();
        let log = self.folder.0.join(LOG);
        let log = File::options().append(true).create(true).open(log);
        let child = configure(&mut Command::new(&program))
            .stdout(log.expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start ({error}): install it by `apt-get install -y redis-server`")
            });
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the server with `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ran");
        }
    }

    /// Stops the process with SIGSTOP. Its sockets stay open.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// The contents of all its files.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.extend(std::fs::read(path).expect("a file")),
                }
            }
        }
        all
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let status = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }
}

/// Redis, or Valkey if the environment names it.
pub(crate) fn program() -> String {
    std::env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into())
}

/// The file in the folder of a server that has its output.
pub(crate) const LOG: &str = "server.log";

/// Shows the output of a server if the test fails.
pub(crate) fn show_log(folder: &Path) {
    if std::thread::panicking() {
        let log = std::fs::read(folder.join(LOG)).unwrap_or_default();
        eprintln!("{}: {}", folder.display(), String::from_utf8_lossy(&log));
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        show_log(&self.folder.0);
    }
}
