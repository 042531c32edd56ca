//! The examples as real processes, with curl and its cookie jar as the client.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::support::{OTHER_SECRET, SECRET};

/// A running example. It is stopped when this value is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

/// The folder of the examples. Cargo does not build them when it runs one test binary only.
fn examples() -> PathBuf {
    programs().join("examples")
}

/// The folder of the examples' folder and of the command line.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let binary = std::env::current_exe().expect("a path");
        let profile = binary
            .parent()
            .and_then(Path::parent)
            .expect("target/profile/deps/it");
        let released = profile.ends_with("release");
        let mut build = Command::new(env!("CARGO"));
        // with these variables of the test, `ring` and all that needs it would be built again
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&variable);
            }
        }
        build.args(["build", "--quiet", "--locked", "--offline", "--examples"]);
        // as this test was built, so that most of it is there
        build.args(["--profile", if released { "release" } else { "test" }]);
        build.args(["--no-default-features", "--features", &features()]);
        if cfg!(feature = "tools") {
            let packages = ["", "-examples", "-tests"];
            for package in packages.map(|end| format!("tower-sealed-session{end}")) {
                build.args(["--package", &package]);
            }
            build.args(["--package", "sealed-session", "--bins"]);
        }
        build.arg("--target-dir");
        build.arg(profile.parent().expect("target"));
        let status = build
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the programs do not build");
        profile.to_owned()
    })
}

/// Those that this test was compiled with.
fn features() -> String {
    let all = [
        ("default", cfg!(feature = "default")),
        ("axum", cfg!(feature = "axum")),
        ("starlette", cfg!(feature = "starlette")),
        ("store", cfg!(feature = "store")),
        ("check", cfg!(feature = "check")),
        ("memory", cfg!(feature = "memory")),
        ("sqlite", cfg!(feature = "sqlite")),
        ("postgres", cfg!(feature = "postgres")),
        ("mysql", cfg!(feature = "mysql")),
        ("sql-tls", cfg!(feature = "sql-tls")),
        ("redis", cfg!(feature = "redis")),
        ("redis-tls", cfg!(feature = "redis-tls")),
        ("tools", cfg!(feature = "tools")),
        ("conformance", cfg!(feature = "conformance")),
        ("metrics", cfg!(feature = "metrics")),
    ];
    let on = all.into_iter().filter(|(_, on)| *on);
    on.map(|(name, _)| name).collect::<Vec<_>>().join(",")
}

pub(crate) fn example(name: &str) -> Command {
    let mut command = Command::new(examples().join(name));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("SESSION_") {
            command.env_remove(variable);
        }
    }
    command.env("PORT", "0");
    command
}

impl Server {
    pub(crate) fn start(name: &str, env: &[(&str, &str)]) -> Self {
        Self::run(example(name).envs(env.iter().copied()))
    }

    /// Starts an example with arguments.
    #[cfg(feature = "starlette")]
    pub(crate) fn start_with(name: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = example(name);
        Self::run(command.args(arguments).envs(env.iter().copied()))
    }

    #[cfg(feature = "store")]
    #[allow(dead_code, reason = "tests of several stores use it")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts any program whose first line of output ends with the port it listens on.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        let port = line
            .trim()
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nothing listens on. Ports from 32768 on are given to outgoing connections, which
/// could take one before the server does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // test programs that run at the same time begin at different ports
    let first = std::process::id().wrapping_mul(997);
    loop {
        let n = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (n % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A new temporary folder, removed on drop.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("sealed-session-it-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// curl with a cookie jar.
pub(crate) struct Curl(Folder);

impl Curl {
    pub(crate) fn new() -> Self {
        Self(Folder::new())
    }

    /// The body and all headers of the front page.
    pub(crate) fn get(&self, server: &Server, arguments: &[&str]) -> (String, String) {
        self.get_at(server, "/", arguments)
    }

    /// The body and all headers of a path.
    pub(crate) fn get_at(
        &self,
        server: &Server,
        path: &str,
        arguments: &[&str],
    ) -> (String, String) {
        let jar = self.0.0.join("jar");
        let headers = self.0.0.join("headers");
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "10",
                "--cookie-jar",
            ])
            .arg(&jar)
            .arg("--cookie")
            .arg(&jar)
            .arg("--dump-header")
            .arg(&headers)
            .args(arguments)
            .arg(format!("http://localhost:{}{path}", server.port))
            .output()
            .expect("curl is missing: `apt-get install -y curl`");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let body = String::from_utf8(output.stdout).expect("UTF-8");
        (body, std::fs::read_to_string(headers).expect("UTF-8"))
    }
}

#[test]
fn counter_works_with_a_cookie_jar_and_an_ephemeral_secret() {
    let (server, curl) = (Server::start("counter", &[]), Curl::new());
    for wanted in ["visit 1", "visit 2", "visit 3"] {
        assert_eq!(curl.get(&server, &[]).0, wanted);
    }
}

#[test]
fn instances_with_the_same_secret_share_sessions() {
    let start = || Server::start("counter", &[("SESSION_SECRET", SECRET)]);
    let (servers, curl) = ([start(), start()], Curl::new());
    for n in 1..=20 {
        assert_eq!(curl.get(&servers[n % 2], &[]).0, format!("visit {n}"));
    }
}

/// (old) → (old, new as fallback) → (new, old as fallback) → (new), on one of three instances at a
/// time.
#[test]
fn rolling_key_rotation_keeps_all_sessions() {
    let steps = [
        (SECRET, ""),
        (SECRET, OTHER_SECRET),
        (OTHER_SECRET, SECRET),
        (OTHER_SECRET, ""),
    ];
    let start = |(secret, fallbacks): (&str, &str)| {
        Server::start(
            "counter",
            &[
                ("SESSION_SECRET", secret),
                ("SESSION_SECRET_FALLBACKS", fallbacks),
            ],
        )
    };
    let mut servers = [0; 3].map(|_| start(steps[0]));
    // one visitor uses every instance in turn, the others stay on one for several requests
    let visitors: Vec<_> = (0..4).map(|_| Curl::new()).collect();
    let mut counts = [0; 4];
    let mut turn = 0_usize;
    let mut visit = |servers: &[Server; 3]| {
        for _ in 0..9 {
            for (n, curl) in visitors.iter().enumerate() {
                let server = if n == 0 { turn % 3 } else { (turn / 5 + n) % 3 };
                counts[n] += 1;
                let (body, headers) = curl.get(&servers[server], &[]);
                assert_eq!(body, format!("visit {}", counts[n]), "visitor {n}");
                assert!(!headers.contains("Max-Age=0"), "{headers}");
            }
            turn += 1;
        }
    };
    visit(&servers);
    for step in &steps[1..] {
        for n in 0..3 {
            servers[n] = start(*step);
            visit(&servers);
        }
    }
}

#[test]
fn invalid_environment_ends_the_program_with_the_reason() {
    let good_file = Folder::new();
    let path = good_file.0.join("secret");
    std::fs::write(&path, SECRET).expect("a file");
    let file = path.to_str().expect("UTF-8");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (
            &[("SESSION_SECRET", "hunter2")],
            "SESSION_SECRET is refused",
        ),
        (&[("SESSION_SECRET", "")], "SESSION_SECRET is refused"),
        (
            &[("SESSION_SECRET", SECRET), ("SESSION_SECRET_FILE", file)],
            "SESSION_SECRET and SESSION_SECRET_FILE",
        ),
        (
            &[
                ("SESSION_SECRET", SECRET),
                ("SESSION_SECRET_FALLBACKS", "x"),
            ],
            "SESSION_SECRET_FALLBACKS is refused",
        ),
        (
            &[("SESSION_SECRET_FALLBACKS", SECRET)],
            "SESSION_SECRET is not set",
        ),
        (
            &[("SESSION_SECRET_FILE", "/nonexistent")],
            "SESSION_SECRET_FILE names a file",
        ),
        (
            &[("SESSION_INSECURE_HTTP", "yes")],
            "SESSION_INSECURE_HTTP is neither",
        ),
    ];
    for (env, wanted) in cases {
        let output = example("counter")
            .envs(env.iter().copied())
            .output()
            .expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            !output.status.success() && stderr.contains(wanted),
            "{env:?}: {stderr}"
        );
        assert!(
            !stderr.contains(SECRET) && !stderr.contains("hunter2"),
            "{stderr}"
        );
    }
    let server = Server::start("counter", &[("SESSION_SECRET_FILE", file)]);
    assert_eq!(Curl::new().get(&server, &[]).0, "visit 1");
}

#[test]
fn ephemeral_secret_logs_a_warning() {
    let mut child = example("counter")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut String::new())
        .expect("it listens");
    child.kill().expect("it runs");
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut stderr)
        .expect("UTF-8");
    child.wait().expect("it ran");
    assert!(
        stderr.contains("WARN") && stderr.contains("SESSION_SECRET is not set"),
        "{stderr}"
    );
}

#[test]
fn insecure_http_omits_prefix_and_secure() {
    let server = Server::start("counter", &[("SESSION_INSECURE_HTTP", "1")]);
    let (_, headers) = Curl::new().get(&server, &[]);
    assert!(
        headers.contains("set-cookie: session=") && !headers.contains("Secure"),
        "{headers}"
    );
}

/// curl sends `Cookie` headers that it would not build itself.
#[test]
fn malformed_cookies_over_a_real_socket_are_treated_as_anonymous() {
    let (server, curl) = (Server::start("counter", &[]), Curl::new());
    let huge = format!("Cookie: {}", "a=1; ".repeat(13_000));
    for odd in [
        "Cookie: __Host-Http-session=garbage",
        "Cookie: =__Host-Http-session=x; ;;; =",
        "Cookie: __Host-Http-session",
        &huge,
    ] {
        let (body, headers) = curl.get(&server, &["--header", odd]);
        assert!(headers.starts_with("HTTP/1.1 200"), "{headers}");
        assert!(body.starts_with("visit "), "{body}");
    }
}

/// The commands that the documentation prints for the examples.
#[test]
fn printed_commands_turn_on_what_their_examples_need() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let examples = packages
        .iter()
        .find(|it| it["name"] == "tower-sealed-session-examples");
    let examples = examples.expect("the package");
    let texts = |value: &serde_json::Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let (mut files, mut printed) = (vec![root.join("README.md"), root.join("cli/README.md")], 0);
    for folder in ["examples", "src/guide"] {
        let listed = std::fs::read_dir(root.join(folder)).expect("a folder");
        files.extend(listed.map(|file| file.expect("a file").path()));
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).expect("UTF-8");
        for line in text.lines() {
            let words: Vec<_> = line.split([' ', '`']).collect();
            let after = |option| {
                let at = words.iter().position(|word| *word == option)?;
                words.get(at + 1).copied()
            };
            let Some(name) = after("--example") else {
                continue;
            };
            printed += 1;
            let targets = examples["targets"].as_array().expect("a list");
            let target = targets.iter().find(|target| target["name"] == name);
            let target = target.unwrap_or_else(|| panic!("no example {name}: {line}"));
            let mut on: Vec<_> = after("--features")
                .into_iter()
                .flat_map(|it| it.split(','))
                .map(str::to_owned)
                .collect();
            for n in 0.. {
                let Some(feature) = on.get(n) else { break };
                let more = texts(&examples["features"][feature]);
                on.extend(more);
            }
            for needed in texts(&target["required-features"]) {
                assert!(on.contains(&needed), "{}: {line}", file.display());
            }
        }
    }
    assert!(printed > 8, "{printed} commands");
}
