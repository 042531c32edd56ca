//! Encrypted connections: who may certify the server.

use std::{error::Error as _, io, sync::Arc};

use redis::{Client, ConnectionInfo, RedisError};

use super::{
    super::error::{StoreError, StoreErrorKind},
    fault,
};

/// The setting in the URL: a file with certificates of authorities.
const SETTING: &str = "sslrootcert=";

/// The URL without the setting, and the path in it.
pub(super) fn split(url: &str) -> (String, Option<&str>) {
    let Some((start, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let path = query.split('&').find_map(|part| part.strip_prefix(SETTING));
    let others: Vec<_> = query
        .split('&')
        .filter(|part| !part.starts_with(SETTING))
        .collect();
    match others.is_empty() {
        true => (start.to_owned(), path),
        false => (format!("{start}?{}", others.join("&")), path),
    }
}

/// A client that accepts certificates of these authorities, otherwise of those that the system
/// trusts.
#[cfg(feature = "redis-tls")]
pub(super) fn client(
    info: ConnectionInfo,
    authorities: Option<&str>,
) -> Result<Client, StoreError> {
    // fails if the app has already chosen one
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(path) = authorities else {
        return Client::open(info).map_err(fault::translate);
    };
    let unusable = || {
        StoreError::new(StoreErrorKind::Config).message(format!(
            "the file {path} has no certificates in PEM format: correct `sslrootcert` in the redis URL"
        ))
    };
    let file = std::fs::read(path).map_err(|error| unusable().because(error))?;
    let certificates = redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(file),
    };
    Client::build_with_tls(info, certificates).map_err(|error| unusable().because(error))
}

#[cfg(not(feature = "redis-tls"))]
pub(super) fn client(
    info: ConnectionInfo,
    authorities: Option<&str>,
) -> Result<Client, StoreError> {
    match authorities {
        Some(_) => Err(missing()),
        None => Client::open(info).map_err(fault::translate),
    }
}

/// The error of a URL that needs TLS if it is not compiled in.
pub(super) fn missing() -> StoreError {
    StoreError::new(StoreErrorKind::Config).message(
        "the redis URL needs TLS, which is not compiled in: add the feature `redis-tls` of \
         tower-sealed-session to Cargo.toml",
    )
}

/// Why TLS failed, such as an expired certificate or another name.
pub(super) fn reason(error: &StoreError) -> Option<String> {
    let error = error.source()?.downcast_ref::<RedisError>()?;
    let inner = error.source()?;
    let inner = match inner.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(shared) => shared.downcast_ref::<io::Error>(),
        None => inner.downcast_ref::<io::Error>(),
    };
    let inner = inner.filter(|error| error.kind() == io::ErrorKind::InvalidData)?;
    Some(inner.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_taken_from_the_url() {
        for (url, plain, path) in [
            ("rediss://h", "rediss://h", None),
            (
                "rediss://h/0?sslrootcert=/ca.pem",
                "rediss://h/0",
                Some("/ca.pem"),
            ),
            (
                "rediss://h?protocol=resp3&sslrootcert=ca.pem&db=1",
                "rediss://h?protocol=resp3&db=1",
                Some("ca.pem"),
            ),
        ] {
            assert_eq!(split(url), (plain.to_owned(), path));
        }
    }
}
