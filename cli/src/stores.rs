//! Where a store is.

use std::{env, fs, path::Path, time::Duration};

use clap::Args;
use tower_sealed_session::{
    Revocations,
    store::{self, AnyStore, StoreError, StoreErrorKind},
};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure, Outcome};

/// The longest time that a call to a store may take. More than an app allows, since nobody waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The variables that name the store, see [`store::from_env`].
const VARIABLES: [&str; 3] = ["SESSION_STORE_URL", "SESSION_DB_URL", "REDIS_URL"];

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The store: a URL without a password, env:NAME or file:PATH. Default: as the app, from
    /// SESSION_STORE_URL, SESSION_DB_URL or REDIS_URL
    #[arg(long, value_name = "URL")]
    store: Option<Location>,
}

impl StoreArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.store.is_some() || VARIABLES.into_iter().find_map(variable).is_some()
    }

    /// The kind of the store, by its URL, if there is one.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        let url = match &self.store {
            Some(location) => location.url().ok(),
            None => VARIABLES.into_iter().find_map(variable),
        };
        store::kind_of(&url?)
    }

    pub(crate) async fn connect(&self) -> Outcome<AnyStore> {
        match &self.store {
            Some(location) => location.connect().await,
            None => {
                if let Some(url) = VARIABLES.into_iter().find_map(variable) {
                    check(&url)?;
                }
                within_patience(store::from_env()).await
            }
        }
    }
}

/// A URL from the command line, or where it is to be read from.
///
/// It is checked when it is used, since clap prints arguments that do not parse.
#[derive(Clone)]
pub(crate) struct Location(String);

impl From<String> for Location {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Location {
    /// The URL. Other users of the machine see the arguments, so one with a password is refused.
    pub(crate) fn url(&self) -> Outcome<Zeroizing<String>> {
        let url = if let Some(name) = self.0.strip_prefix("env:") {
            let url = env::var(name)
                .map_err(|_| Failure::usage(format!("the variable {name} is not set")))?;
            Zeroizing::new(url)
        } else if let Some(path) = self.0.strip_prefix("file:") {
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))?;
            Zeroizing::new(text)
        } else if has_password(&self.0) {
            return Err(Failure::usage(
                "others can see a password in an argument, in `ps` and in the history of the \
                 shell: use env:NAME or file:PATH, or the variable SESSION_STORE_URL",
            ));
        } else {
            Zeroizing::new(self.0.clone())
        };
        Ok(Zeroizing::new(url.trim().to_owned()))
    }

    pub(crate) async fn connect(&self) -> Outcome<AnyStore> {
        let url = self.url()?;
        check(&url)?;
        within_patience(store::connect(&url)).await
    }
}

/// The log of revocations that the argument or the environment names, if one of them does.
pub(crate) async fn log(location: Option<&Location>) -> Outcome<Option<Revocations>> {
    if let Some(location) = location {
        let url = location.url()?;
        check(&url)?;
        return within_patience(Revocations::connect(&url)).await.map(Some);
    }
    let Some(url) = variable("REVOCATIONS_URL") else {
        return Ok(None);
    };
    check(&url)?;
    within_patience(Revocations::from_env()).await.map(Some)
}

/// The value of a variable that is set and not empty.
fn variable(name: &str) -> Option<Zeroizing<String>> {
    let url = env::var_os(name).filter(|url| !url.is_empty())?;
    Some(Zeroizing::new(url.to_string_lossy().into_owned()))
}

/// Refuses what connecting to would only create: it has no session.
fn check(url: &str) -> Outcome<()> {
    if url.starts_with("memory:") || url.starts_with("sqlite::memory:") {
        return Err(Failure::usage(
            "a store in memory is in the process of its app only: no other program can reach it",
        ));
    }
    if let Some(path) = sqlite_file(url)
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::new(
            Exit::Store,
            format!("there is no file {path}"),
        ));
    }
    Ok(())
}

pub(crate) async fn within_patience<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Outcome<T> {
    let late = |_| {
        let text = "the server did not answer within 10 seconds";
        Err(StoreError::new(StoreErrorKind::TimedOut).message(text))
    };
    let answer = tokio::time::timeout(PATIENCE, call).await;
    Ok(answer.unwrap_or_else(late)?)
}

/// The file of an SQLite store, which connecting to it would create.
fn sqlite_file(url: &str) -> Option<&Path> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split('?').next()?;
    (!path.is_empty() && path != ":memory:").then(|| Path::new(path))
}

/// Whether a URL has a password: before its last `@`, or as a parameter such as `pass`, `password`
/// or `sslpassword`. A `/` in a password should be escaped, but it is a password anyway.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    let parameters = rest
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    user.is_some_and(|user| user.contains(':')) || parameters.to_ascii_lowercase().contains("pass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_with_a_password_is_refused_without_showing_it() {
        for url in [
            "redis://:hunter2@host/0",
            "postgres://app:hunter2@host/db",
            "postgres://app:hunter2@a@host",
            "postgres://host/db?password=hunter2",
            "mysql://host/db?ssl=1&PASSWORD=hunter2",
            "postgres://app:hunter2/x@host/db",
            "unix:///run/redis.sock?db=0&pass=hunter2",
        ] {
            let error = Location(url.to_owned())
                .url()
                .expect_err("refused")
                .to_string();
            assert!(error.contains("env:NAME") && !error.contains("hunter2"));
        }
        for url in [
            "redis://host:6379,other:6380/0",
            "postgres://app@host/db?sslmode=disable",
            "sqlite:a.db",
            "memory:",
        ] {
            assert!(Location(url.to_owned()).url().is_ok(), "{url}");
        }
    }
}
