use redis::{ErrorKind, RedisError};

use super::super::error::{StoreError, StoreErrorKind};

/// The text of the error if a key has a value that is not a row.
pub(super) const FOREIGN: &str =
    "a key of the session store has a value of another app: give sessions their own prefix";

/// Maps an error of Redis to its kind, and to a text if that of the kind does not say what to do.
pub(super) fn translate(error: RedisError) -> StoreError {
    let failed = StoreError::new(kind(&error));
    let failed = match (error.code(), error.detail()) {
        (Some("WRONGTYPE"), _) => failed.message(FOREIGN),
        (Some("ERR"), Some(detail)) if detail.starts_with("unknown command") => failed.message(
            "the session store lacks a command: use redis 6.2 or newer, or valkey, \
             without renamed commands and without a proxy",
        ),
        _ => failed,
    };
    failed.because(error)
}

/// Whether the connection is unusable after this error.
pub(super) fn is_broken(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse)
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => StoreErrorKind::TimedOut,
        ErrorKind::Io => StoreErrorKind::Unreachable,
        ErrorKind::AuthenticationFailed => StoreErrorKind::Denied,
        ErrorKind::InvalidClientConfig => StoreErrorKind::Config,
        _ => error
            .code()
            .and_then(of_code)
            .or_else(|| in_script(error.detail()?))
            .unwrap_or(StoreErrorKind::Other),
    }
}

fn of_code(code: &str) -> Option<StoreErrorKind> {
    Some(match code {
        "OOM" => StoreErrorKind::Full,
        // MISCONF: a snapshot failed. NOREPLICAS: fewer replicas than `min-replicas-to-write`
        "READONLY" | "MISCONF" | "NOREPLICAS" => StoreErrorKind::ReadOnly,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => StoreErrorKind::Denied,
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "BUSY" => StoreErrorKind::Unreachable,
        _ => return None,
    })
}

/// Finds the error of a command in a script. Redis 6 wraps it:
/// `ERR Error running script (…): -OOM command not allowed …`.
fn in_script(detail: &str) -> Option<StoreErrorKind> {
    detail
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix('-'))
        .find_map(of_code)
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    fn of(code: &str, detail: &str) -> StoreErrorKind {
        kind(&make_extension_error(code.into(), Some(detail.into())))
    }

    #[test]
    fn codes_map_to_kinds() {
        assert_eq!(of("OOM", "command not allowed"), StoreErrorKind::Full);
        assert_eq!(of("MISCONF", "unable to persist"), StoreErrorKind::ReadOnly);
        assert_eq!(of("WRONGPASS", "invalid"), StoreErrorKind::Denied);
        assert_eq!(of("BUSY", "running a script"), StoreErrorKind::Unreachable);
        assert_eq!(of("NEW", "unknown"), StoreErrorKind::Other);
    }

    #[test]
    fn errors_without_a_kind_say_what_to_do() {
        let told = |code: &str, detail: &str| {
            translate(make_extension_error(code.into(), Some(detail.into()))).to_string()
        };
        assert!(told("WRONGTYPE", "Operation against a key").contains("own prefix"));
        assert!(told("ERR", "unknown command 'EVALSHA'").contains("redis 6.2 or newer"));
        assert_eq!(told("ERR", "other"), "the session store failed");
    }

    #[test]
    fn errors_that_redis_6_wraps_are_found() {
        let detail = "Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed";
        assert_eq!(of("ERR", detail), StoreErrorKind::Full);
    }
}
