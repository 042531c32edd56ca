use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde::Serialize;
use tower_sealed_session::Secret;
use zeroize::Zeroizing;

use crate::{
    exit::{Exit, Failure, Outcome},
    output,
};

/// The random bytes of a secret: 256 bits.
const LEN: usize = 32;

/// Make a secret: 32 random bytes of the system, as 43 characters
#[derive(Args)]
pub(crate) struct Keygen {
    /// Write it to a new file that only you can read, and print nothing. A file that exists is
    /// not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print it as SESSION_SECRET=..., as in a file of variables
    #[arg(long)]
    env: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    secret: &'a str,
}

impl Keygen {
    pub(crate) fn run(self, json: bool) -> Outcome {
        let secret = secret()?;
        let text = match self.env {
            true => Zeroizing::new(format!("SESSION_SECRET={}", *secret)),
            false => secret.clone(),
        };
        match self.output {
            None if json => output::print_json(&Made { secret: &secret })?,
            None => output::print(&Zeroizing::new(format!("{}\n", *text)))?,
            Some(path) => {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let written = options
                    .open(&path)
                    .and_then(|mut file| writeln!(file, "{}", *text));
                let path = path.display();
                written.map_err(|error| {
                    Failure::usage(format!("cannot write the new file {path}: {error}"))
                })?;
                output::note(format_args!("a new secret is in {path}"));
            }
        }
        Ok(Exit::Done)
    }
}

fn secret() -> Outcome<Zeroizing<String>> {
    loop {
        let mut bytes = Zeroizing::new([0; LEN]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            Failure::new(Exit::Store, format!("system random source failed: {error}"))
        })?;
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        // a shell or a command would take it for an option
        if !text.starts_with('-') && Secret::new(&*text).is_ok() {
            return Ok(text);
        }
    }
}
