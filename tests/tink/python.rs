//! A Python with the package `tink`, made once per target folder. Shared by two test programs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tink/cookie.py");

pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        // target/debug/deps/test
        let test = std::env::current_exe().expect("this test");
        let target = test.ancestors().nth(3).expect("the target folder");
        let venv = target.join("tmp/tink");
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
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements));
        python
    })
}
