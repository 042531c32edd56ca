//! The settings of the app whose cookies and rows are looked at.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tower_sealed_session::{KeyRing, Prefix, Secret, SessionLayer, SessionLayerBuilder};
use zeroize::Zeroizing;

use crate::{
    exit::{Failure, Outcome},
    input,
};

/// The size limit of a file of secrets.
const MAX_FILE: u64 = 16 * 1024;

/// What the app seals with, and for which cookie.
#[derive(Args)]
#[command(next_help_heading = "The app's settings")]
pub(crate) struct Sealing {
    /// The whole name of the cookie, with its prefix, as browsers show it. Default:
    /// __Host-Http-session, or session if SESSION_INSECURE_HTTP is 1
    #[arg(long, value_name = "NAME")]
    cookie: Option<String>,

    /// The audience that the app sets, if it sets one
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) audience: String,

    /// Read the secret and its fallbacks from a file, or from stdin with "-". Default: from
    /// SESSION_SECRET and SESSION_SECRET_FALLBACKS, or their _FILE forms
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// The app's secrets, cookie and timeouts.
#[derive(Args)]
#[command(next_help_heading = "The app's settings")]
pub(crate) struct App {
    #[command(flatten)]
    pub(crate) sealing: Sealing,

    /// The app's idle timeout
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,

    /// The app's absolute timeout
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    absolute_timeout: Duration,

    /// The app's limit for sessions that are remembered
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    max_remember: Duration,
}

impl App {
    /// The app's layer, without a store.
    pub(crate) fn layer(&self) -> Outcome<SessionLayer> {
        Ok(self.builder()?.build()?)
    }

    pub(crate) fn builder(&self) -> Outcome<SessionLayerBuilder> {
        let builder = self.sealing.builder()?;
        Ok(builder
            .idle_timeout(self.idle_timeout)
            .absolute_timeout(self.absolute_timeout)
            .max_remember(self.max_remember))
    }
}

impl Sealing {
    /// The whole name of the cookie.
    pub(crate) fn cookie(&self) -> &str {
        let insecure = || env::var_os("SESSION_INSECURE_HTTP").is_some_and(|flag| flag == "1");
        match &self.cookie {
            Some(name) => name,
            None if insecure() => "session",
            None => "__Host-Http-session",
        }
    }

    /// A layer that opens what the app sealed. It has no store and not the app's timeouts.
    pub(crate) fn layer(&self) -> Outcome<SessionLayer> {
        Ok(self.builder()?.build()?)
    }

    pub(crate) fn builder(&self) -> Outcome<SessionLayerBuilder> {
        let prefixes = [
            ("__Host-Http-", Prefix::HostHttp),
            ("__Host-", Prefix::Host),
            ("__Secure-", Prefix::Secure),
        ];
        let known = prefixes.into_iter().find_map(|(text, prefix)| {
            let name = self.cookie().strip_prefix(text)?;
            Some((prefix, name))
        });
        let (prefix, name) = known.unwrap_or((Prefix::None, self.cookie()));
        Ok(SessionLayer::builder(self.key_ring()?)
            .prefix(prefix)
            .name(name)
            .audience(&self.audience))
    }

    pub(crate) fn key_ring(&self) -> Outcome<KeyRing> {
        let Some(path) = &self.key_file else {
            return Ok(KeyRing::from_env()?);
        };
        let text = match path.as_os_str() == "-" {
            true => input::stdin()?,
            false => read(path).map_err(|error| {
                let path = path.display();
                Failure::usage(format!("cannot read the key file {path}: {error}"))
            })?,
        };
        let path = path.display();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let mut secrets = lines.flat_map(str::split_whitespace).map(Secret::new);
        let Some(current) = secrets.next() else {
            return Err(Failure::usage(format!("the key file {path} has no secret")));
        };
        let in_file = |error| Failure::usage(format!("key file {path}: {error}"));
        let mut ring = KeyRing::new(current.map_err(in_file)?);
        for secret in secrets {
            ring = ring.fallback(secret.map_err(in_file)?);
        }
        Ok(ring)
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let len = File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    match len as u64 {
        // the last secret may be cut off
        MAX_FILE => Err(io::Error::other("it has 16 KiB or more")),
        _ => Ok(text),
    }
}
