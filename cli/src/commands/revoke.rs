use std::convert::Infallible;

use clap::Args;
use http::{HeaderValue, Request, Response, header::COOKIE};
use serde::Serialize;
use time::OffsetDateTime;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_sealed_session::{Error, Session, SessionLayer, SessionLayerBuilder};

use crate::{
    cookie,
    exit::{Exit, Failure, Outcome},
    input,
    keys::App,
    output::{self, count},
    stores::{self, Location, PATIENCE, StoreArgs},
};

const USAGE: &str = "\
sealed-session revoke [OPTIONS] --cookie-from-stdin
       sealed-session revoke [OPTIONS] --owner <OWNER> [--session <NAME>]
       sealed-session revoke [OPTIONS] --everything --log <URL>
       sealed-session revoke [OPTIONS] --before <TIME> --log <URL>";

/// End sessions on every instance: one, all of an owner, all, or those from before a time
///
/// It needs the store that the app keeps sessions in, or the log of revocations that it follows
/// (--log), or both if the app has both.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true), override_usage = USAGE)]
pub(crate) struct Revoke {
    /// The session whose cookie is read from stdin
    #[arg(long, group = "what", conflicts_with_all = ["owner", "session", "everything", "before"])]
    cookie_from_stdin: bool,

    /// All sessions of that owner; "-" reads it from stdin
    #[arg(
        long,
        value_name = "OWNER",
        group = "what",
        conflicts_with_all = ["everything", "before"]
    )]
    owner: Option<String>,

    /// Only the session of the owner with that name, which "sessions" prints
    #[arg(long, value_name = "NAME", requires = "owner")]
    session: Option<String>,

    /// All sessions that exist now, as after the restore of a backup. Needs --log
    #[arg(long, group = "what")]
    everything: bool,

    /// All sessions that began before that time, such as 2026-11-27T08:00:00Z. Those that began
    /// then or later stay. Needs --log
    #[arg(long, value_name = "TIME", value_parser = input::time, group = "what")]
    #[arg(conflicts_with = "everything")]
    before: Option<OffsetDateTime>,

    /// The log of revocations that the app follows: a URL without a password, env:NAME or
    /// file:PATH. Default: from REVOCATIONS_URL
    #[arg(long, value_name = "URL")]
    log: Option<Location>,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: App,
}

#[derive(Serialize)]
struct Report {
    revoked: bool,
    /// The number of sessions that the store had, if it counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
}

impl Revoke {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let builder = self.app.builder()?;
        let (builder, has_log, has_store) = self.connect(builder).await?;
        if !has_log && !has_store {
            return Err(Failure::usage(
                "no store and no log is given: use --store, --log or both, or set SESSION_STORE_URL \
                 or REVOCATIONS_URL",
            ));
        }
        let layer = builder.build()?;
        let (revoked, deleted) = self.end(&layer, has_log, has_store).await?;
        let report = Report { revoked, deleted };
        match json {
            true => output::print_json(&report)?,
            false => output::print(&match &report {
                Report { revoked: false, .. } => "no such session\n".to_owned(),
                Report {
                    deleted: Some(deleted),
                    ..
                } => format!("{} ended\n", count(*deleted, "session")),
                Report { .. } => "ended\n".to_owned(),
            })?,
        }
        Ok(if revoked { Exit::Done } else { Exit::No })
    }

    /// Returns whether there was such a session, and how many the store had if it counts them.
    async fn end(
        &self,
        layer: &SessionLayer,
        has_log: bool,
        has_store: bool,
    ) -> Outcome<(bool, Option<u64>)> {
        if self.everything {
            needs_log("--everything", has_log)?;
            layer.revoke_everything().await?;
            return Ok((true, None));
        }
        if let Some(before) = self.before {
            needs_log("--before", has_log)?;
            layer.revoke_everything_before(before).await?;
            return Ok((true, None));
        }
        let Some(owner) = &self.owner else {
            return Ok((log_out(layer).await?, None));
        };
        if self.session.is_some() && !has_store {
            return Err(Failure::usage(
                "--session needs the store that has the session: give --store",
            ));
        }
        let owner = input::owner(owner)?;
        Ok(match &self.session {
            Some(session) => (layer.delete_session(&owner, session).await?, None),
            None if has_log => {
                layer.revoke_owner(&owner).await?;
                (true, None)
            }
            None => (true, Some(layer.delete_owner(&owner).await?)),
        })
    }

    /// Adds the log and the store that are given, and tells which.
    async fn connect(
        &self,
        mut builder: SessionLayerBuilder,
    ) -> Outcome<(SessionLayerBuilder, bool, bool)> {
        let log = stores::log(self.log.as_ref()).await?;
        let (has_log, has_store) = (log.is_some(), self.store.is_given());
        if let Some(log) = log {
            builder = builder.revocations(log);
        }
        if has_store {
            let store = self.store.connect().await?;
            builder = builder.store(store).store_timeout(PATIENCE);
        }
        Ok((builder, has_log, has_store))
    }
}

fn needs_log(option: &str, has_log: bool) -> Outcome<()> {
    match has_log {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{option} needs the log of revocations: give --log"
        ))),
    }
}

/// Logs out the session whose cookie stdin has, as a request to the app would.
async fn log_out(layer: &SessionLayer) -> Outcome<bool> {
    let text = input::stdin()?;
    let found = cookie::find(layer, &text);
    let [cookie] = &found[..] else {
        let count = found.len();
        return Err(Failure::input(format!(
            "one cookie is needed, stdin has {count}"
        )));
    };
    let pair = format!("{}={}", layer.cookie_name(), cookie.value);
    let pair = HeaderValue::from_str(&pair)
        .map_err(|_| Failure::input("the cookie has bytes that no header has"))?;
    let request = Request::builder().header(COOKIE, pair).body(String::new());
    let request = request.map_err(|error| Failure::input(error.to_string()))?;
    let app = layer.layer(service_fn(async |request: Request<String>| {
        let session = Session::from_extensions(request.extensions()).await;
        let ended = match &session {
            Ok(session) => {
                let known = session.owner().is_some() || !session.is_empty();
                session.logout();
                match session.commit().await {
                    Ok(()) => Ok(known),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error.clone()),
        };
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(ended);
        Ok::<_, Infallible>(response)
    }));
    let response = match app.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let ended = response.extensions().get::<Result<bool, Error>>();
    let ended = ended.cloned().unwrap_or(Ok(false));
    Ok(ended?)
}
