//! Where a store is.

use std::{env, fs, path::Path, time::Duration};

use clap::Args;
use tower_sealed_session::store::{self, AnyStore};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure, Outcome};

/// The longest time that a call to a store may take. More than an app allows, since nobody waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The store: a URL without a password, env:NAME or file:PATH. Default: as the app, from
    /// SESSION_STORE_URL, SESSION_DB_URL or REDIS_URL
    #[arg(long, value_name = "URL")]
    store: Option<Location>,
}

impl StoreArgs {
    pub(crate) fn is_given(&self) -> bool {
        let variables = ["SESSION_STORE_URL", "SESSION_DB_URL", "REDIS_URL"];
        let set = |name| env::var_os(name).is_some_and(|url| !url.is_empty());
        self.store.is_some() || variables.into_iter().any(set)
    }

    pub(crate) async fn connect(&self) -> Outcome<AnyStore> {
        match &self.store {
            Some(location) => location.connect().await,
            None => match tokio::time::timeout(PATIENCE, store::from_env()).await {
                Ok(store) => Ok(store?),
                Err(_) => Err(unanswered()),
            },
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
            let url = env::var(name).map_err(|_| {
                Failure::usage(format!(
                    "the variable {name} that names the store is not set"
                ))
            })?;
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
        connect(&self.url()?).await
    }
}

async fn connect(url: &str) -> Outcome<AnyStore> {
    if url.starts_with("memory:") {
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
    match tokio::time::timeout(PATIENCE, store::connect(url)).await {
        Ok(store) => Ok(store?),
        Err(_) => Err(unanswered()),
    }
}

fn unanswered() -> Failure {
    Failure::new(Exit::Store, "the store did not answer within 10 seconds")
}

/// The file of an SQLite store, which connecting to it would create.
fn sqlite_file(url: &str) -> Option<&Path> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split('?').next()?;
    (!path.is_empty() && path != ":memory:").then(|| Path::new(path))
}

/// Whether a URL has a password: before the last `@` of its authority, or as a parameter.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || rest.to_ascii_lowercase().contains("password=")
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
        ] {
            let error = Location(url.to_owned())
                .url()
                .expect_err("refused")
                .to_string();
            assert!(error.contains("env:NAME") && !error.contains("hunter2"));
        }
        for url in [
            "redis://host/0",
            "postgres://app@host/db",
            "sqlite:a.db",
            "memory:",
        ] {
            assert!(Location(url.to_owned()).url().is_ok(), "{url}");
        }
    }
}
