/// What a response has to do about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing changed.
    Keep,
    /// It changed; under a new id if there was one before.
    Write(Change),
    /// It ended, or nothing is left of it.
    Remove { logged_out: bool },
}

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Content,
    Renewed,
    LoggedIn,
}
