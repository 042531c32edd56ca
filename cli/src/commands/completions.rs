use std::io;

use clap::Args;
use clap_complete::Shell;

use crate::{
    exit::{Exit, Outcome},
    output,
};

/// Print the completions for a shell
///
/// bash: sealed-session completions bash > /etc/bash_completion.d/sealed-session
#[derive(Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    /// `program` is the description of the whole program.
    pub(crate) fn run(self, mut program: clap::Command) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut program, "sealed-session", &mut text);
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        output::print(&text)?;
        Ok(Exit::Done)
    }
}
