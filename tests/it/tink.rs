//! Google's Tink opens the running counter's cookies, and the counter takes what Tink made.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    processes::{Curl, Server},
    support::{NAME, OTHER_SECRET, SECRET},
};

/// A Python with the package `tink`, made once per target folder.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tink");
        let python = venv.join("bin/python");
        let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tink/requirements.txt");
        let ready = Command::new(&python).args(["-c", "import tink"]).output();
        if ready.is_ok_and(|output| output.status.success()) {
            return python;
        }
        let _ = std::fs::remove_dir_all(&venv);
        let run = |command: &mut Command| {
            let output = command.output();
            let done = output.as_ref().is_ok_and(|output| output.status.success());
            assert!(
                done,
                "{command:?} failed, `apt-get install -y python3-venv` may be missing: {output:?}"
            );
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--requirement",
            requirements,
        ]));
        python
    })
}

fn tink(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tink/cookie.py");
    Command::new(python())
        .arg(script)
        .args(arguments)
        .output()
        .expect("Python runs")
}

fn text(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

#[test]
fn tink_opens_the_counters_cookies() {
    let (server, curl) = (
        Server::start("counter", &[("SESSION_SECRET", SECRET)]),
        Curl::new(),
    );
    curl.get(&server, &[]);
    let (_, headers) = curl.get(&server, &[]);
    let (_, value) = headers
        .split_once("set-cookie: __Host-session=")
        .expect("a cookie");
    let token = value.split(';').next().expect("a value");
    let session: Value =
        serde_json::from_str(&text(tink(&["open", SECRET, NAME, token]))).expect("JSON");
    assert_eq!(session["entries"], serde_json::json!({"n": 2}));
    assert_eq!(
        (session["lifetime_s"].as_u64(), session["owner"].as_str()),
        (Some(86_400), None)
    );
    let now = time::OffsetDateTime::now_utc().unix_timestamp() as u64;
    assert!(
        session["created_ms"]
            .as_u64()
            .expect("a number")
            .abs_diff(now * 1000)
            < 60_000
    );
    assert!(!tink(&["open", OTHER_SECRET, NAME, token]).status.success());
    assert!(!tink(&["open", SECRET, "session", token]).status.success());
}

#[test]
fn the_counter_takes_what_tink_made() {
    let server = Server::start("counter", &[("SESSION_SECRET", SECRET)]);
    let visit = |secret, name| {
        let token = text(tink(&[
            "seal",
            secret,
            name,
            r#"{"n": 41, "more": "é"}"#,
            "ada",
        ]));
        Curl::new()
            .get(&server, &["--header", &format!("Cookie: {NAME}={token}")])
            .0
    };
    assert_eq!(visit(SECRET, NAME), "visit 42");
    assert_eq!(visit(OTHER_SECRET, NAME), "visit 1");
    assert_eq!(visit(SECRET, "session"), "visit 1");
}
