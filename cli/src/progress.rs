//! How far a long command is: a bar on a terminal, a line every ten seconds elsewhere.

use std::{
    cell::Cell,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often a line is printed where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    printed: Cell<Instant>,
}

impl Progress {
    pub(crate) fn new(total: u64, what: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{msg} {wide_bar} {percent} % {per_sec} {eta}");
            ProgressBar::new(total)
                .with_style(style.expect("a valid template"))
                .with_message(what)
        });
        Self {
            what,
            total,
            bar,
            printed: Cell::new(Instant::now()),
        }
    }

    pub(crate) fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            // drawing is limited to 20 times a second
            bar.set_position(done);
        } else if done.is_multiple_of(256) && self.printed.get().elapsed() >= PAUSE {
            self.printed.set(Instant::now());
            output::note(format_args!("{}: {done} of {}", self.what, self.total));
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
