use clap::{Args, ValueEnum};
use serde::Serialize;
use tower_sealed_session::store::{MySqlStore, PostgresStore, SqliteStore};

use crate::{
    exit::{Exit, Outcome},
    output,
};

/// Print the SQL that creates the tables, for a migration
///
/// Apps can create them at start-up, see create_schema in the docs of the crate.
#[derive(Args)]
pub(crate) struct Schema {
    dialect: Dialect,

    /// The tables of the log of revocations instead of that of the sessions
    #[arg(long)]
    revocations: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dialect {
    #[value(alias = "postgresql")]
    Postgres,
    #[value(alias = "mariadb")]
    Mysql,
    Sqlite,
}

#[derive(Serialize)]
struct Sql {
    sql: &'static str,
}

impl Schema {
    pub(crate) fn run(self, json: bool) -> Outcome {
        let sql = match (self.dialect, self.revocations) {
            (Dialect::Postgres, false) => PostgresStore::SCHEMA,
            (Dialect::Postgres, true) => PostgresStore::REVOCATIONS_SCHEMA,
            (Dialect::Mysql, false) => MySqlStore::SCHEMA,
            (Dialect::Mysql, true) => MySqlStore::REVOCATIONS_SCHEMA,
            (Dialect::Sqlite, false) => SqliteStore::SCHEMA,
            (Dialect::Sqlite, true) => SqliteStore::REVOCATIONS_SCHEMA,
        };
        match json {
            true => output::print_json(&Sql { sql })?,
            false => output::print(sql)?,
        }
        Ok(Exit::Done)
    }
}
