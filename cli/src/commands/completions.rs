use std::io;

use clap::Args;
use clap_complete::Shell;

use crate::{
    args,
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
    pub(crate) fn run(self) -> Outcome {
        let mut text = Vec::new();
        let mut command = args::description();
        clap_complete::generate(self.shell, &mut command, "sealed-session", &mut text);
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        output::print(&text)?;
        Ok(Exit::Done)
    }
}
