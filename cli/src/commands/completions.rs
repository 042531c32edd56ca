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
    pub(crate) fn run(self) -> Outcome {
        let mut text = Vec::new();
        let mut command = args::description();
        clap_complete::generate(self.shell, &mut command, "sealed-session", &mut text);
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        // clap_complete 4.6 writes the name in two ways in its script for bash, so that no command's
        // options are completed
        let text = text.replace("sealed__subcmd__session", "sealed__session");
        output::print(&text)?;
        Ok(Exit::Done)
    }
}
