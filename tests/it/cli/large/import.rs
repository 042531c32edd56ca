//! An import of a large file, `IMPORTED` entries.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::Stdio,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tower_sealed_session::store::Operate as _;

use super::{
    super::{Kind, Run, TestStore, import::app, measured, program, run},
    exact,
    file::{CANARIES, OldFile, session},
};
use crate::support::Visitor;

on_each_store! {
    #[ignore = "`.ci/nightly cli` runs it: it takes minutes"]
    large_file_is_imported_once_and_completely;
    #[ignore = "`.ci/nightly cli` runs it: it takes minutes"]
    import_of_a_large_file_converges_after_20_kills;
}

fn entries() -> u64 {
    super::size("IMPORTED", 3000)
}

/// Fails unless these are the counts of a run that found all of the file in the store.
fn assert_all_there(run: &Run, file: &OldFile) {
    let told = run.json();
    let expected = [
        ("entries", file.entries),
        ("new", 0),
        ("replaced", 0),
        ("unchanged", file.rows()),
        ("superseded", file.superseded()),
        ("used", 0),
        ("without_owner", file.without_owner),
        ("bad", file.bad()),
    ];
    for (name, count) in expected {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["bad_by_reason"], json!(file.bad));
}

/// Runs a command on the file, and prints how fast it was.
fn timed(kind: Kind, command: &[&str], file: &OldFile, store: &TestStore) -> Run {
    let arguments = [command, &[&file.path, "--store", &store.url, "--json"]].concat();
    let start = Instant::now();
    let (run, peak) = measured(&arguments);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{kind:?}, {}: {} entries in {seconds:.2} s, {:.0} a second, {peak} KiB at most",
        command.join(" "),
        file.entries,
        file.entries as f64 / seconds
    );
    assert!((1000..=64 * 1024).contains(&peak), "{peak} KiB");
    for canary in CANARIES {
        let shown = [&run.stdout, &run.stderr].map(|shown| shown.contains(canary));
        assert_eq!(shown, [false; 2], "{canary}");
    }
    // some entries are bad
    run.exits(5)
}

async fn large_file_is_imported_once_and_completely(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = OldFile::write(&store.folder, entries());
    let first = timed(kind, &["import", "--no-verify"], &file, &store);
    let told = first.json();
    let count = |name: &str| told[name].as_u64().expect("a number");
    // of the sessions of an owner, the last one is there, in whatever order they were written
    assert_eq!(count("new"), file.rows());
    let owned = ["new", "replaced", "unchanged", "superseded", "used"].map(count);
    assert_eq!(owned.iter().sum::<u64>(), file.owned, "{told}");
    let others = count("without_owner") + count("bad");
    assert_eq!(file.owned + others, file.entries);
    assert_eq!(count("entries"), file.entries);
    assert_eq!(told["bad_by_reason"], json!(file.bad));

    assert_all_there(&timed(kind, &["verify"], &file, &store), &file);
    let before = store.kept().await;
    assert_eq!(before.len() as u64, file.rows());
    let second = timed(kind, &["import"], &file, &store);
    assert_all_there(&second, &file);
    assert_eq!(second.json()["verified"], file.owned);
    assert_eq!(second.json()["different"], 0);
    assert!(store.kept().await == before, "no row was changed");

    let told = exact(&store);
    assert_eq!(told["imported"], file.rows());
    assert_eq!(super::all(&told), file.rows(), "{told}");
    assert_eq!(store.counted_elsewhere().await, file.rows());
    assert_no_canary(&store, before.values().map(|(.., bytes)| &bytes[..]));
    assert_owners_get_their_sessions(&store, &file).await;
}

/// Searches a dump, in which bytes can be in hexadecimal. To show that the search can find what is
/// there, rows are searched for too.
fn assert_no_canary<'a>(store: &TestStore, rows: impl Iterator<Item = &'a [u8]>) {
    let dump = store.dump();
    let holds = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            bytes,
            hex.as_bytes(),
            &hex.to_ascii_uppercase().into_bytes(),
        ];
        forms
            .iter()
            .any(|form| dump.windows(form.len()).any(|part| part == *form))
    };
    for row in rows.step_by(500).take(20) {
        assert!(holds(&row[..24]), "a row is in the dump");
    }
    for canary in CANARIES {
        assert!(!holds(canary.as_bytes()), "{canary}");
    }
}

/// Some of each kind.
async fn assert_owners_get_their_sessions(store: &TestStore, file: &OldFile) {
    let app = app(store);
    let mut seen = [0; 100];
    for (owner, &n) in &file.owners {
        let seen = &mut seen[n as usize % 100];
        *seen += 1;
        if *seen > 5 {
            continue;
        }
        let path: String = owner.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut visitor = Visitor::default();
        let adopted = visitor.get(&app, &format!("/login/{path}")).await.body;
        assert_eq!(adopted, "true", "{owner}");
        let shown = visitor.get(&app, "/show").await.body;
        let shown: Value =
            serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{owner}: {shown}"));
        assert_eq!(shown["owner"], *owner);
        assert_eq!(shown["vars"], session(n)["env_vars"], "{owner}");
    }
}

/// Each kill comes when the store has a random number of rows. These numbers are spread evenly.
async fn import_of_a_large_file_converges_after_20_kills(kind: Kind) {
    let store = TestStore::new(kind).await;
    let file = OldFile::write(&store.folder, entries());
    // few at a time, so that a small file is not imported before it is killed
    let import = [
        "import", &file.path, "--store", &store.url, "--json", "--jobs", "8",
    ];
    let mut random = StdRng::seed_from_u64(7);
    let share = file.rows() / 21;
    let (start, mut killed, mut at) = (Instant::now(), 0, Vec::new());
    for n in 0..20 {
        let target = n * share + random.random_range(1..share);
        let mut child = program(&import)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let rows = loop {
            let now = time::OffsetDateTime::now_utc();
            let rows = store.store.count(now).await.expect("a store").live;
            if rows >= target || child.try_wait().expect("a child").is_some() {
                break rows;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        child.kill().expect("it runs, or has ended");
        let status = child.wait().expect("it ends");
        killed += u32::from(status.signal() == Some(9));
        at.push(rows);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{kind:?}: killed {killed} times in {seconds:.1} s, at {at:?} rows");
    // half of the file was still to come
    assert!(killed >= 10, "{killed}");
    let last = run(&import).exits(5).json();
    assert_eq!(
        (&last["verified"], &last["different"]),
        (&json!(file.owned), &json!(0))
    );
    assert_all_there(&run(&import).exits(5), &file);
    assert_eq!(exact(&store)["imported"], file.rows());
    assert_eq!(store.counted_elsewhere().await, file.rows());
    assert_owners_get_their_sessions(&store, &file).await;
}
