//! `import` and `verify`, on each kind of store.

use std::{fmt::Write as _, io::Write as _, process::Stdio, time::Duration};

use axum::{Router, extract::Path, routing::get};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tower_sealed_session::{Error, Session, SessionLayer, store::Operate as _};

use super::{Kind, Run, TestStore, measured, program, run, run_with, write};
use crate::{
    processes::Folder,
    support::{Visitor, keys},
};

on_each_store! {
    sessions_of_a_file_are_taken_over_by_their_owners_next_login;
    killed_import_converges_when_it_is_run_again;
    store_holds_nothing_of_the_file_in_plain_text;
    what_the_app_has_used_since_is_not_imported_again;
}

/// A file of the old app. Some sessions are bad, some have no owner, some owners have several.
fn old_file() -> String {
    let mut file = String::from("{");
    for n in 0..300 {
        let vars = json!({"LANG": format!("de {n} é 😀"), "TOKEN": format!("s3cr3t-{n}")});
        let session = match n % 30 {
            7 => r#"{"env_vars": {"RATE": NaN}, "user_id": "x"}"#.to_owned(),
            13 => json!({"env_vars": vars}).to_string(),
            17 => r#"{"env_vars": {}, "user_id": true}"#.to_owned(),
            // numbers are owners too
            19 => json!({"env_vars": vars, "user_id": n}).to_string(),
            // the owner of the session before
            23 => json!({"env_vars": vars, "user_id": format!("user-{}", n - 1)}).to_string(),
            _ => json!({"env_vars": vars, "user_id": format!("user-{n}"), "theme": "dark"})
                .to_string(),
        };
        let comma = if n > 0 { ",\n " } else { "" };
        write!(
            file,
            r#"{comma}"{:032x}": {session}"#,
            u128::from(n as u64) << 64
        )
        .expect("text");
    }
    file + "}"
}

/// What an import of [`old_file`] counts.
fn counted(run: &Run) -> [u64; 7] {
    let json = run.json();
    let counts = [
        "entries",
        "new",
        "replaced",
        "unchanged",
        "superseded",
        "without_owner",
        "bad",
    ];
    counts.map(|name| json[name].as_u64().expect("a number"))
}

/// No request fails because the machine is busy.
fn layer(store: &TestStore) -> SessionLayer {
    let builder = SessionLayer::builder(keys()).store(store.store.clone());
    let builder = builder.store_timeout(Duration::from_secs(10));
    builder.build().expect("valid settings")
}

pub(super) fn app(store: &TestStore) -> Router {
    async fn login(session: Session, Path(user): Path<String>) -> Result<String, Error> {
        session.login(&user)?;
        let adopted = session.adopt_imported().await?;
        Ok(adopted.to_string())
    }
    async fn show(session: Session) -> Result<String, Error> {
        let vars = session.get::<Value>("env_vars")?;
        let theme = session.get::<String>("theme")?;
        Ok(json!({"owner": session.owner(), "vars": vars, "theme": theme}).to_string())
    }
    async fn logout(session: Session) {
        session.logout();
    }
    Router::new()
        .route("/login/{user}", get(login))
        .route("/show", get(show))
        .route("/logout", get(logout))
        .layer(layer(store))
}

async fn sessions_of_a_file_are_taken_over_by_their_owners_next_login(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = write(&store.folder.0, "parsed_sessions.json", old_file());
    let import = ["import", &file, "--store", &store.url, "--json"];

    let dry = run(&[&import[..], &["--dry-run"]].concat()).exits(5);
    assert_eq!(counted(&dry), [300, 270, 0, 0, 0, 10, 20]);
    assert!(store.bytes().await.is_empty());

    let first = run(&import).exits(5);
    let [entries, new, replaced, unchanged, superseded, without, bad] = counted(&first);
    assert_eq!((entries, unchanged, without, bad), (300, 0, 10, 20));
    // of two sessions of an owner, the last one is there, in whatever order they were written
    assert_eq!(new + replaced + superseded, 270);
    assert_eq!(new, 260);
    assert_eq!(first.json()["verified"], 270);
    assert_eq!(first.json()["different"], 0);
    assert!(first.stderr.contains("session 8 at byte"), "{first:?}");

    let second = run(&import).exits(5);
    assert_eq!(counted(&second), [300, 0, 0, 260, 10, 10, 20]);
    let verified = run(&["verify", &file, "--store", &store.url, "--json"]).exits(5);
    assert_eq!(counted(&verified), [300, 0, 0, 260, 10, 10, 20]);

    let app = app(&store);
    let mut visitor = Visitor::default();
    assert_eq!(visitor.get(&app, "/login/user-1").await.body, "true");
    let shown: Value = serde_json::from_str(&visitor.get(&app, "/show").await.body).expect("JSON");
    let vars = json!({"LANG": "de 1 é 😀", "TOKEN": "s3cr3t-1"});
    assert_eq!(
        shown,
        json!({"owner": "user-1", "vars": vars, "theme": "dark"})
    );
    // the last session of the owner, who had two
    let mut visitor = Visitor::default();
    assert_eq!(visitor.get(&app, "/login/user-22").await.body, "true");
    let shown = visitor.get(&app, "/show").await.body;
    assert!(shown.contains("s3cr3t-23"), "{shown}");
    // a number
    assert_eq!(Visitor::default().get(&app, "/login/19").await.body, "true");
    // nobody of the file
    assert_eq!(
        Visitor::default().get(&app, "/login/eve").await.body,
        "false"
    );
}

async fn what_the_app_has_used_since_is_not_imported_again(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = write(&store.folder.0, "parsed_sessions.json", old_file());
    let import = ["import", &file, "--store", &store.url, "--json"];
    run(&import).exits(5);
    let app = app(&store);
    let mut first = Visitor::default();
    assert_eq!(first.get(&app, "/login/user-1").await.body, "true");
    first.get(&app, "/logout").await;
    // not to the second login, and not after another import, not even of another file
    assert_eq!(
        Visitor::default().get(&app, "/login/user-1").await.body,
        "false"
    );
    let again = run(&import).exits(5);
    assert_eq!(again.json()["used"], 1);
    let newer = r#"{"a": {"env_vars": {}, "user_id": "user-1"}, "b": {"user_id": "user-2"}}"#;
    let newer = write(&store.folder.0, "newer.json", newer);
    let other = run(&["import", &newer, "--store", &store.url, "--json"]).exits(0);
    assert_eq!(
        (&other.json()["used"], &other.json()["replaced"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        Visitor::default().get(&app, "/login/user-1").await.body,
        "false"
    );
    assert_eq!(
        Visitor::default().get(&app, "/login/user-2").await.body,
        "true"
    );
    // what a user brings is deleted with the user's sessions
    let layer = layer(&store);
    assert_eq!(layer.delete_owner("user-3").await.expect("a store"), 1);
    assert_eq!(
        Visitor::default().get(&app, "/login/user-3").await.body,
        "false"
    );
    // the list of devices has only sessions
    assert_eq!(layer.list_owner("user-4").await.expect("a store").len(), 0);
}

async fn killed_import_converges_when_it_is_run_again(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = write(&store.folder.0, "parsed_sessions.json", old_file());
    let arguments = [
        "import", &file, "--store", &store.url, "--json", "--jobs", "4",
    ];
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let mut child = program(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(random.random_range(1..60)));
        // SIGKILL
        child.kill().expect("it runs, or has ended");
        child.wait().expect("it ends");
    }
    let last = run(&arguments).exits(5);
    assert_eq!(
        (&last.json()["verified"], &last.json()["different"]),
        (&json!(270), &json!(0))
    );
    let rows = store.store.count(time::OffsetDateTime::now_utc()).await;
    assert_eq!(rows.expect("a store").live, 260);
}

async fn store_holds_nothing_of_the_file_in_plain_text(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = write(&store.folder.0, "parsed_sessions.json", old_file());
    let done = run(&["import", &file, "--store", &store.url]).exits(5);
    let bytes = match kind {
        Kind::Redis => store.redis.as_ref().expect("a server").files(),
        _ => store.bytes().await,
    };
    assert!(bytes.len() > 10_000);
    let shown = done.stdout + &done.stderr;
    for secret in ["s3cr3t", "user-1", "LANG", "env_vars", "0000000000000001"] {
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} in {kind:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logins_at_the_same_time_do_not_both_take_the_entries() {
    let store = TestStore::new(Kind::Redis).await;
    let mut file = String::from("{");
    for n in 0..50 {
        let comma = if n > 0 { "," } else { "" };
        write!(
            file,
            r#"{comma}"{n}": {{"env_vars": {{}}, "user_id": "user-{n}"}}"#
        )
        .expect("text");
    }
    let file = write(&store.folder.0, "parsed_sessions.json", file + "}");
    run(&["import", &file, "--store", &store.url]).exits(0);
    let app = app(&store);
    for n in 0..50 {
        let logins = (0..4).map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                let path = format!("/login/user-{n}");
                Visitor::default().get(&app, &path).await.body
            })
        });
        let mut taken = 0;
        for login in logins.collect::<Vec<_>>() {
            taken += u32::from(login.await.expect("no panic") == "true");
        }
        assert_eq!(taken, 1, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_file() {
    let store = TestStore::new(Kind::Redis).await;
    let entries = std::env::var("IMPORTED").map_or(4000, |count| count.parse().expect("a number"));
    let path = store.folder.0.join("parsed_sessions.json");
    let mut random = StdRng::seed_from_u64(1);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    file.write_all(b"{").expect("space");
    for n in 0..entries {
        let mut pad = vec![0; 5000];
        random.fill_bytes(&mut pad);
        let pad: String = pad.iter().map(|byte| format!("{byte:02x}")).collect();
        let comma = if n > 0 { "," } else { "" };
        write!(
            file,
            r#"{comma}"{n}": {{"env_vars": {{"A": "{pad}"}}, "user_id": {n}}}"#
        )
        .expect("space");
    }
    file.write_all(b"}").expect("space");
    drop(file);
    let path = path.to_str().expect("UTF-8");
    let (run, peak) = measured(&["import", path, "--store", &store.url, "--json"]);
    run.exits(0);
    println!("{entries} entries of 10 KB: {peak} KiB at most");
    assert!((1000..=64 * 1024).contains(&peak), "{peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_import_finishes_what_it_began_and_says_how_to_go_on() {
    let store = TestStore::new(Kind::Sqlite).await;
    let mut file = String::from("{");
    for n in 0..50_000 {
        let comma = if n > 0 { "," } else { "" };
        write!(
            file,
            r#"{comma}"{n}": {{"env_vars": {{}}, "user_id": {n}}}"#
        )
        .expect("text");
    }
    let file = write(&store.folder.0, "parsed_sessions.json", file + "}");
    let arguments = ["import", &file, "--store", &store.url, "--json"];
    let child = program(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // when some are written
    let now = time::OffsetDateTime::now_utc();
    while store.store.count(now).await.expect("a store").live < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(killed.expect("kill").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        told.contains("run the same command again to go on"),
        "{told}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let written = store.store.count(now).await.expect("a store").live;
    assert_eq!(report["new"], written);
    assert_eq!(report["interrupted"], true);
    let rest = run(&arguments).exits(0).json();
    assert_eq!(
        (&rest["unchanged"], &rest["verified"]),
        (&json!(written), &json!(50_000))
    );
}

#[test]
fn broken_files_are_refused_before_anything_is_written() {
    let folder = Folder::new();
    let store = format!("sqlite:{}", folder.0.join("none.db").display());
    for (content, reason) in [
        ("", "empty"),
        ("[]", "object"),
        (r#"{"a": {"user_id": "b"}"#, "ends"),
        (r#"{"a": {"user_id": "b"}} x"#, "after"),
    ] {
        let file = write(&folder.0, "broken.json", content);
        std::fs::write(folder.0.join("none.db"), "").expect("a file");
        let refused = run(&["import", &file, "--store", &store]).exits(3);
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }
    let missing = run(&["import", "/no/such/file", "--store", &store]).exits(3);
    assert!(missing.stderr.contains("/no/such/file"), "{missing:?}");
    let long = run_with(
        &["import", "/dev/null", "--store", &store, "--ttl", "500d"],
        b"",
        |it| it,
    );
    assert!(long.exits(2).stderr.contains("--ttl"));
}
