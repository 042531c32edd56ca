//! A run of git: its output, its messages and its end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::failure::{Deadline, Failure};
use super::oid::Oid;
use super::text::shown;

/// The number of bytes of messages that are kept of each run.
const MAX_MESSAGES: u64 = 64 * 1024;

/// The number of characters of a message of git that are shown.
const MAX_COMPLAINT: usize = 300;

/// How a run of git ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) success: bool,
    /// Everything that git wrote to its standard error, shortened.
    pub(super) messages: Vec<u8>,
}

impl Ended {
    /// The first error in the messages. Git may report one and succeed nevertheless.
    pub(super) fn complaint(&self) -> Option<String> {
        const STARTS: [&[u8]; 3] = [b"error:", b"fatal:", b"warning: ignoring broken ref"];
        let mut lines = self.messages.split(|byte| *byte == b'\n');
        let line = lines.find(|line| STARTS.iter().any(|start| line.starts_with(start)))?;
        Some(shown(line).chars().take(MAX_COMPLAINT).collect())
    }

    pub(super) fn or_fail(self, task: &'static str) -> Result<(), Failure> {
        if self.success {
            return Ok(());
        }
        let complaint = self.complaint();
        let complaint = complaint.unwrap_or_else(|| "it gave no reason".to_owned());
        Err(Failure::Git { task, complaint })
    }

    /// Fails also if git succeeded with an error message.
    pub(super) fn without_complaint(self, task: &'static str) -> Result<(), Failure> {
        match self.complaint() {
            Some(complaint) => Err(Failure::Git { task, complaint }),
            None => self.or_fail(task),
        }
    }
}

/// A started git. It is killed when this value is dropped, and at the deadline.
pub(super) struct Running {
    child: Arc<Mutex<Child>>,
    output: Option<BufReader<ChildStdout>>,
    messages: Option<JoinHandle<Vec<u8>>>,
    /// Its drop ends the thread that waits for the deadline.
    _watch: Option<Sender<()>>,
    deadline: Deadline,
}

impl Running {
    pub(super) fn new(mut child: Child, deadline: Deadline) -> Self {
        let output = child
            .stdout
            .take()
            .map(|out| BufReader::with_capacity(1 << 16, out));
        let messages = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                let _ = stderr.by_ref().take(MAX_MESSAGES).read_to_end(&mut kept);
                // A full pipe would stop git.
                let _ = io::copy(&mut stderr, &mut io::sink());
                kept
            })
        });
        let child = Arc::new(Mutex::new(child));
        Self {
            _watch: deadline.0.map(|end| watch(Arc::clone(&child), end)),
            child,
            output,
            messages,
            deadline,
        }
    }

    pub(super) fn feed(&mut self, ids: Arc<Vec<Oid>>, first: usize) {
        let Some(stdin) = lock(&self.child).stdin.take() else {
            return;
        };
        std::thread::spawn(move || {
            let mut stdin = io::BufWriter::new(stdin);
            for id in &ids[first..] {
                // It fails if git ended. The reader notices that.
                if writeln!(stdin, "{id}").is_err() {
                    return;
                }
            }
        });
    }

    /// Reads up to the delimiter. Returns false at the end of the output.
    pub(super) fn piece(&mut self, delimiter: u8, piece: &mut Vec<u8>) -> bool {
        piece.clear();
        let Some(output) = &mut self.output else {
            return false;
        };
        // A failed read ends the output, and git then fails, since it cannot write.
        let read = output.read_until(delimiter, piece).unwrap_or(0);
        if piece.last() == Some(&delimiter) {
            piece.pop();
        }
        read > 0
    }

    /// Reads exactly this many bytes. Returns false if there are fewer.
    pub(super) fn exactly(&mut self, length: usize, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        bytes.resize(length, 0);
        let Some(output) = &mut self.output else {
            return false;
        };
        output.read_exact(bytes).is_ok()
    }

    pub(super) fn read_rest(&mut self, bytes: &mut Vec<u8>) {
        if let Some(output) = &mut self.output {
            let _ = output.read_to_end(bytes);
        }
    }

    /// Waits for the end.
    pub(super) fn finish(mut self) -> Result<Ended, Failure> {
        self.output = None;
        let success = loop {
            // The lock is not kept while waiting, since the thread with the deadline needs it.
            match lock(&self.child).try_wait() {
                Ok(Some(status)) => break status.success(),
                Ok(None) => {}
                Err(error) => return Err(Failure::NotStarted(error)),
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        self.deadline.check()?;
        let messages = self.messages.take().and_then(|thread| thread.join().ok());
        let messages = messages.unwrap_or_default();
        Ok(Ended { success, messages })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(child: Arc<Mutex<Child>>, end: Instant) -> Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let left = end.saturating_duration_since(Instant::now());
        if receiver.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            let _ = lock(&child).kill();
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Stdio;

    use super::*;
    use crate::scan::git::{Git, Input};

    #[test]
    fn git_is_killed_at_the_deadline() {
        let deadline = Deadline::after(Some(Duration::from_millis(200)));
        let git = Git::new(Path::new("/"), deadline);
        // Without `feed`, git waits for its input, which stays open.
        let mut command = git.command(&["hash-object", "--stdin"]);
        let child = command.stdin(Stdio::piped()).spawn().expect("git starts");
        let mut running = Running::new(child, deadline);
        assert!(!running.piece(b'\n', &mut Vec::new()));
        assert!(matches!(running.finish(), Err(Failure::TimeLimit)));
        assert!(matches!(
            git.start(&["version"], Input::Nothing),
            Err(Failure::TimeLimit)
        ));
    }

    #[test]
    fn git_is_killed_when_it_is_dropped() {
        let git = Git::new(Path::new("/"), Deadline::after(None));
        let mut command = git.command(&["hash-object", "--stdin"]);
        let child = command.stdin(Stdio::piped()).spawn().expect("git starts");
        let running = Running::new(child, git.deadline());
        let child = Arc::clone(&running.child);
        drop(running);
        let status = lock(&child).try_wait().expect("a status");
        assert!(status.is_some_and(|status| !status.success()));
    }

    #[test]
    fn an_error_message_counts_although_git_succeeded() {
        let ended = |messages: &str| Ended {
            success: true,
            messages: messages.as_bytes().to_vec(),
        };
        for messages in [
            "error: \x1b[31mx",
            "hint: y\nfatal: x\n",
            "warning: ignoring broken ref refs/heads/x",
        ] {
            let failure = ended(messages)
                .without_complaint("read")
                .expect_err("an error");
            assert!(!format!("{failure:?}").contains('\x1b'));
        }
        for messages in ["", "notice: x\n", "warning: ignoring dangling symref x\n"] {
            assert!(ended(messages).without_complaint("read").is_ok());
        }
    }
}
