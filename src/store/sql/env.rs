use std::env;

use crate::store::error::{StoreError, StoreErrorKind};

/// Opens the URL in the environment variable `SESSION_DB_URL`.
pub(super) async fn from_env<S>(
    example: &str,
    connect: impl AsyncFnOnce(&str) -> Result<S, StoreError>,
) -> Result<S, StoreError> {
    let config = |problem| {
        let message = format!("{problem}: set it to a URL, such as `{example}`");
        StoreError::new(StoreErrorKind::Config).message(message)
    };
    let Some(url) = env::var_os("SESSION_DB_URL").filter(|url| !url.is_empty()) else {
        return Err(config("SESSION_DB_URL is not set"));
    };
    // a value that is not UTF-8 is not a valid URL either
    let opened = connect(url.to_str().unwrap_or_default()).await;
    opened.map_err(|error| match error.kind() {
        StoreErrorKind::Config => config("invalid SESSION_DB_URL").because(error),
        _ => error,
    })
}
