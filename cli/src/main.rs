//! `sealed-session`: the command line of tower-sealed-session.
//!
//! Results go to stdout, everything else to stderr. The exit code says how it ended, see
//! [`exit::Exit`].

mod args;
mod checkup;
mod commands;
mod cookie;
mod exit;
mod file;
mod importing;
mod input;
mod keys;
mod leaks;
mod output;
mod progress;
mod prometheus;
mod retry;
mod scan;
mod stores;
mod warnings;

use std::process::ExitCode;

use clap::Parser as _;

use self::{args::Arguments, exit::Exit};

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    match command.run(json).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // a reader of stdout that is gone, such as `head`, wants nothing more
            if failure.exit != Exit::Unheard {
                output::note(format_args!("sealed-session: {failure}"));
            }
            failure.exit.into()
        }
    }
}
