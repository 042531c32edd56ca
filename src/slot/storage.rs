use crate::store::Keeper;

/// Where sessions are that are not in their cookies.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) keeper: Keeper,
    pub(crate) mode: Mode,
}

/// Which sessions those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All.
    Store,
    /// Those that do not fit a cookie.
    Overflow,
    /// Those that are there already, until they are changed.
    ReadFrom,
}
