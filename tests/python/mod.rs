//! Python environments with the packages that tests need. Each is made once per target folder. Two
//! test programs share this module.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

/// The script that seals and opens cookies with Google's Tink.
pub(crate) fn tink() -> PathBuf {
    tests().join("tink/cookie.py")
}

/// The folder of the tests. They are a package of their own, and the library has the others.
fn tests() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    match package.ends_with("tests") {
        true => package.to_owned(),
        false => package.join("tests"),
    }
}

/// The Python interpreter with the packages in `requirements`, a file below `tests`.
pub(crate) fn python(requirements: &str) -> PathBuf {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    // The lock is held while an environment is made, so that other callers wait for it.
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made.get_or_insert_default();
    let make = || make(requirements);
    made.entry(requirements.to_owned())
        .or_insert_with(make)
        .clone()
}

fn make(requirements: &str) -> PathBuf {
    let file = tests().join(requirements);
    let wanted = std::fs::read(&file).expect("the requirements");
    // target/debug/deps/test
    let test = std::env::current_exe().expect("this test");
    let target = test.ancestors().nth(3).expect("the target folder");
    let venv = target
        .join("tmp")
        .join(requirements.replace(['/', '.'], "-"));
    let (python, done) = (venv.join("bin/python"), venv.join("done"));
    if std::fs::read(&done).is_ok_and(|done| done == wanted) {
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
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&file));
    std::fs::write(&done, wanted).expect("written");
    python
}
