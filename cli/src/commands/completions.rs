use std::io;

use clap::Args;
use clap_complete::Shell;

use crate::{
    exit::{Exit, Outcome},
    output,
};

/// Print the completions for a shell
///
/// Write them to a file that the shell reads:
///
///   bash  /usr/share/bash-completion/completions/sealed-session
///   zsh   _sealed-session, in a folder of $fpath
///   fish  ~/.config/fish/completions/sealed-session.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    /// `program` is the description of the whole program.
    pub(crate) fn run(self, mut program: clap::Command) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut program, "sealed-session", &mut text);
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        // clap_complete 4.6 writes the name in two ways in its script for bash, so that no command's
        // options are completed
        let text = text.replace("sealed__subcmd__session", "sealed__session");
        output::print(&text)?;
        Ok(Exit::Done)
    }
}
