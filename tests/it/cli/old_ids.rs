//! `import --accept-old-ids`, on each kind of store, and what it refuses.

use std::time::Duration;

use axum::{Router, routing::get};
use serde_json::json;
use tower_sealed_session::{Error, Session, SessionLayer};

use super::{
    Kind, Run, TestStore, run,
    scan::{commit, git, path, repository},
    write,
};
use crate::support::{Visitor, keys};

on_each_store! {
    each_old_id_opens_its_session_once;
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A file of the old app: owners with several sessions, ids that occur twice, bad ids, and sessions
/// without an owner.
fn old_file() -> String {
    let mut entries = Vec::new();
    for n in 0..40 {
        let session =
            json!({"user_id": format!("user-{}", n / 2), "env_vars": {"LANG": format!("é {n}")}});
        entries.push(format!(r#""id-{n}": {session}"#));
    }
    entries.push(r#""id-0": {"user_id": "user-0", "env_vars": {"LANG": "last"}}"#.to_owned());
    entries.push(r#""two words": {"user_id": "user-0"}"#.to_owned());
    entries.push(r#""nobody": {"env_vars": {}}"#.to_owned());
    format!("{{{}}}", entries.join(",\n"))
}

fn app(store: &TestStore) -> Router {
    async fn show(session: Session) -> Result<String, Error> {
        let vars = session.get::<serde_json::Value>("env_vars")?;
        let lang = vars.map(|vars| vars["LANG"].clone());
        Ok(json!([session.owner(), lang]).to_string())
    }
    let until = time::OffsetDateTime::now_utc() + DAY;
    let layer = SessionLayer::builder(keys())
        .idle_timeout(DAY)
        .absolute_timeout(DAY)
        .store(store.store.clone())
        // no request fails because the machine is busy
        .store_timeout(Duration::from_secs(10))
        .adopt_ids_from_cookie("session_id", until);
    let layer = layer.build().expect("valid settings");
    Router::new().route("/", get(show)).layer(layer)
}

fn with_id(id: &str) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.jar.insert("session_id".into(), id.into());
    visitor
}

async fn each_old_id_opens_its_session_once(kind: Kind) {
    let store = TestStore::new(kind).await;
    let repository = repository();
    let file = write(&repository.0, "parsed_sessions.json", old_file());
    let arguments =
        |command: &'static str| [command, &*file, "--store", &store.url, "--accept-old-ids"];
    let counts = |run: &Run| {
        let json = run.json();
        let names = [
            "entries",
            "new",
            "unchanged",
            "used",
            "without_owner",
            "bad",
        ];
        names.map(|name| json[name].as_u64().expect("a number"))
    };
    let json_of =
        |command: &'static str| run(&[&arguments(command)[..], &["--json"]].concat()).exits(5);

    let first = json_of("import");
    assert_eq!(counts(&first)[0], 43);
    assert_eq!(counts(&first)[4..], [1, 1]);
    assert_eq!(first.json()["bad_by_reason"], json!({"cookie-value": 1}));
    assert_eq!(first.json()["different"], 0);
    let second = json_of("import");
    assert_eq!(counts(&second), [43, 0, 40, 0, 1, 1]);

    let app = app(&store);
    let mut visitors: Vec<_> = (0..40).map(|n| with_id(&format!("id-{n}"))).collect();
    for _ in 0..2 {
        for (n, visitor) in visitors.iter_mut().enumerate() {
            let lang = if n == 0 {
                "last".to_owned()
            } else {
                format!("é {n}")
            };
            let expected = json!([format!("user-{}", n / 2), lang]).to_string();
            assert_eq!(visitor.get(&app, "/").await.body, expected, "{n}");
            assert!(!visitor.jar.contains_key("session_id"), "{n}");
        }
    }
    assert_eq!(with_id("id-40").get(&app, "/").await.body, "[null,null]");
    assert_eq!(with_id("nobody").get(&app, "/").await.body, "[null,null]");

    // an import after that brings nothing back
    assert_eq!(counts(&json_of("import")), [43, 0, 0, 41, 1, 1]);
    assert_eq!(counts(&json_of("verify")), [43, 0, 0, 41, 1, 1]);
    let dump = String::from_utf8_lossy(&store.bytes().await).into_owned();
    for text in ["id-1", "user-1", "LANG"] {
        assert!(!dump.contains(text), "{text}");
    }
}

/// An import that would be done if nothing were wrong with the repository.
fn refused(file: &str, more: &[&str]) -> Run {
    let store = format!(
        "sqlite://{}?mode=rwc",
        std::env::temp_dir().join("none.db").display()
    );
    let arguments = [
        &["import", file, "--store", &store, "--accept-old-ids"],
        more,
    ]
    .concat();
    run(&arguments)
}

#[test]
fn file_that_was_committed_is_refused() {
    let repository = repository();
    let sessions = r#"{"id-1": {"user_id": "ada", "env_vars": {}}}"#;
    let told = |run: Run| {
        assert!(run.stderr.contains("refused"), "{run:?}");
        assert!(run.stderr.contains("without --accept-old-ids"), "{run:?}");
        assert!(
            !run.stderr.contains("ada") && !run.stderr.contains("id-1"),
            "{run:?}"
        );
    };
    // in the index
    let file = write(&repository.0, "parsed_sessions.json", sessions);
    git(&repository.0, &["add", "--all"]);
    told(refused(&file, &[]).exits(1));
    // in an old commit, under another name, and removed since
    git(
        &repository.0,
        &["rm", "--quiet", "--force", "parsed_sessions.json"],
    );
    commit(&repository, "other.json", sessions);
    git(&repository.0, &["rm", "--quiet", "other.json"]);
    commit(&repository, "README.md", "later\n");
    let file = write(&repository.0, "parsed_sessions.json", sessions);
    told(refused(&file, &[]).exits(1));
    // a file from elsewhere
    let elsewhere = crate::processes::Folder::new();
    let file = write(&elsewhere.0, "a.json", sessions);
    told(refused(&file, &["--repo", path(&repository)]).exits(1));
    // by its name, whatever it holds
    let repository = self::repository();
    commit(&repository, "a.json", "not a file of sessions");
    told(refused(&file, &["--repo", path(&repository)]).exits(1));
}

#[test]
fn file_whose_history_cannot_be_seen_is_refused() {
    let sessions = r#"{"id-1": {"user_id": "ada", "env_vars": {}}}"#;
    let elsewhere = crate::processes::Folder::new();
    let file = write(&elsewhere.0, "a.json", sessions);
    let none = refused(&file, &[]).exits(2);
    assert!(none.stderr.contains("not in a git repository"), "{none:?}");
    assert!(none.stderr.contains("--repo"), "{none:?}");

    let (origin, clone) = (repository(), crate::processes::Folder::new());
    commit(&origin, "README.md", "later\n");
    let url = format!("file://{}", path(&origin));
    git(
        &clone.0,
        &["clone", "--quiet", "--depth", "1", &url, "clone"],
    );
    let clone = clone.0.join("clone");
    let file = write(&clone, "parsed_sessions.json", sessions);
    let shallow = refused(&file, &[]).exits(6);
    assert!(shallow.stderr.contains("shallow"), "{shallow:?}");
    assert!(shallow.stderr.contains("refused"), "{shallow:?}");

    let alone = run(&["import", &file, "--repo", "."]).exits(2);
    assert!(alone.stderr.contains("--accept-old-ids"), "{alone:?}");
}
