use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::super::{
    error::{StoreError, StoreErrorKind},
    link::Verdict,
};

/// The text of the error if a key has a value that is not a row.
pub(super) const FOREIGN: &str =
    "a key of the session store has a value of another app: give sessions their own prefix";

/// Maps an error of Redis to its kind, and to a text if that of the kind does not say what to do.
pub(super) fn translate(error: RedisError) -> StoreError {
    let failed = StoreError::new(kind(&error));
    let failed = match (error.code(), error.detail()) {
        (Some("WRONGTYPE"), _) => failed.message(FOREIGN),
        (Some("MOVED" | "ASK"), _) => failed.message(
            "the redis server is a node of a cluster: let the user run `hello`, so that the store \
             learns of it, or use a connection to the cluster",
        ),
        (Some("ERR"), Some(detail)) if detail.starts_with("unknown command") => failed.message(
            "the session store lacks a command: use redis 6.2 or newer, or valkey, \
             without renamed commands and without a proxy",
        ),
        _ => failed,
    };
    failed.because(error)
}

/// Whether the connection is of no use after this error: it is broken, or the server is a replica,
/// or is not ready.
pub(super) fn is_lost(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse)
        || codes(error)
            .any(|code| matches!(code, "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING"))
}

/// What the answer to a call shows about its connection.
pub(super) fn verdict(
    answer: &RedisResult<Value>,
    is_lost: impl FnOnce(&RedisError) -> bool,
) -> Verdict {
    match answer {
        Err(error) if is_lost(error) => Verdict::Lost(translate(error.clone())),
        _ => Verdict::Answered,
    }
}

fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => StoreErrorKind::TimedOut,
        ErrorKind::Io => StoreErrorKind::Unreachable,
        ErrorKind::AuthenticationFailed => StoreErrorKind::Denied,
        ErrorKind::InvalidClientConfig => StoreErrorKind::Config,
        _ => codes(error)
            .find_map(of_code)
            .unwrap_or(StoreErrorKind::Other),
    }
}

/// The code of an error, and that of a command in a script, which Redis 6 wraps:
/// `ERR Error running script (…): -OOM command not allowed …`.
fn codes(error: &RedisError) -> impl Iterator<Item = &str> {
    let words = error.detail().unwrap_or_default().split_ascii_whitespace();
    let wrapped = words.filter_map(|word| word.strip_prefix('-'));
    error.code().into_iter().chain(wrapped)
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
    fn wrong_server_is_dialled_anew() {
        let is_lost = |code: &str, detail: &str| {
            is_lost(&make_extension_error(code.into(), Some(detail.into())))
        };
        for code in ["READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING"] {
            assert!(is_lost(code, "detail"));
            assert!(is_lost(
                "ERR",
                &format!("Error running script: -{code} detail")
            ));
        }
        assert!(!is_lost("OOM", "command not allowed"));
        assert!(!is_lost("MISCONF", "unable to persist"));
    }

    #[test]
    fn errors_without_a_kind_say_what_to_do() {
        let told = |code: &str, detail: &str| {
            translate(make_extension_error(code.into(), Some(detail.into()))).to_string()
        };
        assert!(told("WRONGTYPE", "Operation against a key").contains("own prefix"));
        assert!(told("ERR", "unknown command 'EVALSHA'").contains("redis 6.2 or newer"));
        assert!(told("MOVED", "1 10.0.0.2:6379").contains("a node of a cluster"));
        assert_eq!(told("ERR", "other"), "the session store failed");
    }

    #[test]
    fn errors_that_redis_6_wraps_are_found() {
        let detail = "Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed";
        assert_eq!(of("ERR", detail), StoreErrorKind::Full);
    }
}
