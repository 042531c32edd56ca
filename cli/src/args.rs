//! The arguments.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    commands::{
        completions, doctor, import, inspect, keygen, keyset, man, prune, relocate, revoke, scan,
        schema, sessions, stats,
    },
    exit::{self, Outcome},
};

/// Secrets, cookies and stores of tower-sealed-session
///
/// The secrets come from SESSION_SECRET and SESSION_SECRET_FALLBACKS (or a file), as in the app.
/// No id, owner or value is printed unless you ask for it, and never a secret.
#[derive(Parser)]
#[command(name = "sealed-session", version, after_long_help = exit::HELP, max_term_width = 80)]
#[command(arg_required_else_help = true, infer_long_args = false)]
pub(crate) struct Arguments {
    /// Print the result as one line of JSON
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Keygen(keygen::Keygen),
    Inspect(inspect::Inspect),
    Keyset(keyset::Keyset),
    Scan(scan::Scan),
    Import(import::Import),
    Verify(import::Verify),
    Move(relocate::Move),
    Sessions(sessions::Sessions),
    Revoke(revoke::Revoke),
    Prune(prune::Prune),
    Stats(stats::Stats),
    Schema(schema::Schema),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        match self {
            Self::Keygen(keygen) => keygen.run(json),
            Self::Inspect(inspect) => inspect.run(json).await,
            Self::Keyset(keyset) => keyset.run(),
            Self::Scan(scan) => scan.run(json),
            Self::Import(import) => import.run(json).await,
            Self::Verify(verify) => verify.run(json).await,
            Self::Move(relocate) => relocate.run(json).await,
            Self::Sessions(sessions) => sessions.run(json).await,
            Self::Revoke(revoke) => revoke.run(json).await,
            Self::Prune(prune) => prune.run(json).await,
            Self::Stats(stats) => stats.run(json).await,
            Self::Doctor(doctor) => doctor.run(json).await,
            Self::Schema(schema) => schema.run(json),
            Self::Completions(completions) => completions.run(Arguments::command()),
            Self::Man(man) => man.run(Arguments::command()),
        }
    }
}
