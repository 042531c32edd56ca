/// Keeps sessions in SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore;
