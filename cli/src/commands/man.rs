use std::{fs, io, path::PathBuf};

use clap::Args;
use clap_mangen::Man as Page;

use crate::{
    exit::{Exit, Failure, Outcome},
    output,
};

/// The day of the release.
const DATE: &str = "2026-11-26";

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
        // there is no page of "help"
        program = program.disable_help_subcommand(true);
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
            let name = format!("sealed-session-{}", subcommand.get_name());
            write(format!("{name}.1"), page(subcommand.clone().name(name))?)?;
        }
        write("sealed-session.1".to_owned(), page(program)?)?;
        Ok(Exit::Done)
    }
}

fn page(command: clap::Command) -> Outcome<String> {
    let title = command.get_name().to_uppercase();
    let mut text = Vec::new();
    Page::new(command)
        .title(title)
        .date(DATE)
        .render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(tidy(&text))
}

/// Without empty lines, repeated breaks and spaces at the end of lines, which mandoc warns of. The
/// exit codes get the heading that man pages have for them, and keep their lines.
fn tidy(text: &str) -> String {
    let mut lines: Vec<_> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines.dedup_by(|line, before| *line == ".br" && *before == ".br");
    let mut tidy = lines.join("\n") + "\n";
    if let Some((before, codes)) = tidy.split_once(".SH EXTRA\nExit codes:\n")
        && let Some((codes, after)) = codes.split_once(".SH")
    {
        tidy = format!("{before}.SH EXIT STATUS\n.nf\n{codes}.fi\n.SH{after}");
    }
    tidy
}
