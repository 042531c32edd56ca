//! Runs the program `git` such that it only reads, and runs no other program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::failure::{Deadline, Failure};
use super::oid::Oid;
use super::running::{Ended, Running};

/// The settings of a repository may name programs. None of these programs may run.
///
/// The cached graph and the pack index of several packs are not used, since damage in them could
/// hide objects.
const FLAGS: [&str; 19] = [
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.commitGraph=false",
    "-c",
    "core.multiPackIndex=false",
    "-c",
    "protocol.allow=never",
    "-c",
    "log.showSignature=false",
    "-c",
    "log.showRoot=true",
    "-c",
    "core.untrackedCache=false",
];

const ENVIRONMENT: [(&str, &str); 9] = [
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_GRAFT_FILE", "/dev/null"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    // The messages of git are read.
    ("LC_ALL", "C"),
];

/// Git in one folder.
#[derive(Clone, Debug)]
pub(super) struct Git {
    folder: PathBuf,
    deadline: Deadline,
}

/// What git reads from its standard input.
pub(super) enum Input {
    Nothing,
    File(std::fs::File),
    /// One id a line, from an index on.
    Ids(Arc<Vec<Oid>>, usize),
}

impl Git {
    pub(super) fn new(folder: &Path, deadline: Deadline) -> Self {
        let folder = folder.to_owned();
        Self { folder, deadline }
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Starts git. The caller reads the output, and then calls `finish`.
    pub(super) fn start(&self, arguments: &[&str], input: Input) -> Result<Running, Failure> {
        self.deadline.check()?;
        let mut command = self.command(arguments);
        match &input {
            Input::Nothing => command.stdin(Stdio::null()),
            Input::File(file) => command.stdin(file.try_clone().map_err(Failure::NotStarted)?),
            Input::Ids(..) => command.stdin(Stdio::piped()),
        };
        let child = command.spawn().map_err(Failure::NotStarted)?;
        let mut running = Running::new(child, self.deadline);
        if let Input::Ids(ids, first) = input {
            running.feed(ids, first);
        }
        Ok(running)
    }

    /// Calls `read` with each piece of the output, without its delimiter.
    pub(super) fn each(
        &self,
        arguments: &[&str],
        input: Input,
        delimiter: u8,
        mut read: impl FnMut(&[u8]),
    ) -> Result<Ended, Failure> {
        let mut running = self.start(arguments, input)?;
        let mut piece = Vec::new();
        while running.piece(delimiter, &mut piece) {
            read(&piece);
        }
        running.finish()
    }

    /// The whole of a small output, without its last newline.
    pub(super) fn output(
        &self,
        task: &'static str,
        arguments: &[&str],
    ) -> Result<Vec<u8>, Failure> {
        let (ended, output) = self.try_output(arguments, Input::Nothing)?;
        ended.or_fail(task)?;
        Ok(output)
    }

    /// As `output`, for commands that tell something by failing.
    pub(super) fn try_output(
        &self,
        arguments: &[&str],
        input: Input,
    ) -> Result<(Ended, Vec<u8>), Failure> {
        let mut running = self.start(arguments, input)?;
        let mut output = Vec::new();
        running.read_rest(&mut output);
        if output.last() == Some(&b'\n') {
            output.pop();
        }
        Ok((running.finish()?, output))
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                command.env_remove(name);
            }
        }
        // The settings of the machine must not decide what a test finds.
        #[cfg(test)]
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
            .envs(ENVIRONMENT)
            .arg("-C")
            .arg(&self.folder)
            .args(FLAGS)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}
