use std::{fs, io, path::PathBuf};

use clap::Args;
use clap_mangen::Man as Page;

use crate::{
    exit::{Exit, Failure, Outcome},
    output,
};

/// Print the man page, or write those of all commands to a folder
#[derive(Args)]
pub(crate) struct Man {
    /// Write a page for each command to this folder
    #[arg(long, value_name = "FOLDER")]
    all: Option<PathBuf>,
}

impl Man {
    /// `program` is the description of the whole program.
    pub(crate) fn run(self, mut program: clap::Command) -> Outcome {
        program.build();
        let Some(folder) = self.all else {
            output::print(&page(program)?)?;
            return Ok(Exit::Done);
        };
        let write = |name: String, text: String| {
            let path = folder.join(name);
            let written = fs::write(&path, text);
            let path = path.display();
            written.map_err(|error| Failure::usage(format!("cannot write {path}: {error}")))
        };
        for subcommand in program.get_subcommands() {
            if subcommand.get_name() == "help" {
                continue;
            }
            let name = format!("sealed-session-{}", subcommand.get_name());
            write(format!("{name}.1"), page(subcommand.clone().name(name))?)?;
        }
        write("sealed-session.1".to_owned(), page(program)?)?;
        Ok(Exit::Done)
    }
}

fn page(command: clap::Command) -> Outcome<String> {
    let mut text = Vec::new();
    Page::new(command).render(&mut text)?;
    Ok(String::from_utf8(text).map_err(io::Error::other)?)
}
