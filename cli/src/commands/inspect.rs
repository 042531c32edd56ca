use std::time::SystemTime;

use clap::Args;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tower_sealed_session::{
    SessionLayer,
    tools::{self, InspectedKey, InspectedSession},
};
use zeroize::Zeroizing;

use crate::{
    cookie,
    exit::{Exit, Failure, Outcome},
    input,
    keys::App,
    output::{self, Lines, moment_from, plain, rfc3339},
    stores::{PATIENCE, StoreArgs},
};

/// Check a session cookie, and show its key, its times and its sizes
///
/// The exit code is 0 if the cookie is valid, and 1 if it is not. Of several cookies, one must be valid.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The cookie: its value, "name=value", or a Cookie or Set-Cookie header. Default: from stdin,
    /// where others cannot see it
    value: Option<String>,

    /// Show the owner, and the values of the entries
    #[arg(long)]
    show_values: bool,

    /// Ask the store whether the app accepts the cookie now
    #[arg(long)]
    ask_store: bool,

    /// Check it as at that time, as in 2026-11-25T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = input::time, conflicts_with = "ask_store")]
    at: Option<OffsetDateTime>,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: App,
}

/// The result, as JSON.
#[derive(Serialize)]
struct Inspected<'a> {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_with_store: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_attributes: Vec<&'static str>,
}

#[derive(Serialize)]
struct Key {
    id: String,
    /// `current`, `fallback` or `unknown`
    is: &'static str,
}

#[derive(Serialize)]
struct Session<'a> {
    /// `cookie` or `ticket`
    kind: &'static str,
    set_with_legacy_cookie: bool,
    remembered: bool,
    created: String,
    sealed: String,
    expires: String,
    expires_at_last: String,
    /// `None`: only the store knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_owner: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    key: &'a str,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
}

impl Inspect {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let text = match self.value.as_deref() {
            Some(value) if value != "-" => Zeroizing::new(value.to_owned()),
            _ => input::stdin()?,
        };
        let layer = self.layer().await?;
        let found = cookie::find(&layer, &text);
        if found.is_empty() {
            let name = plain(layer.cookie_name());
            return Err(Failure::input(format!(
                "no cookie {name} in the input: give its value, or choose its name with --cookie"
            )));
        }
        let now = self.at.unwrap_or_else(|| SystemTime::now().into());
        let mut exit = Exit::No;
        for (n, cookie) in found.iter().enumerate() {
            let inspection = tools::inspect(&layer, cookie.value.as_bytes(), now);
            let accepted = match self.ask_store {
                true => Some(is_accepted(&layer, cookie.value).await?),
                false => None,
            };
            let valid = inspection.rejected().is_none() && accepted != Some(false);
            if valid {
                exit = Exit::Done;
            }
            let inspected = Inspected {
                valid,
                reason: inspection.rejected(),
                bytes: inspection.len(),
                key: inspection.key().map(key),
                session: inspection.session().map(|session| self.session(session)),
                accepted_with_store: accepted,
                missing_attributes: cookie.missing.clone(),
            };
            match json {
                true => output::print_json(&inspected)?,
                false => {
                    if n > 0 {
                        output::print("\n")?;
                    }
                    self.print(&layer, inspected, inspection.session(), now)?;
                }
            }
        }
        Ok(exit)
    }

    async fn layer(&self) -> Outcome<SessionLayer> {
        if !self.ask_store {
            return self.app.layer();
        }
        let store = self.store.connect().await?;
        let builder = self.app.builder()?.store(store).store_timeout(PATIENCE);
        Ok(builder.build()?)
    }

    fn session<'a>(&self, session: &'a InspectedSession) -> Session<'a> {
        Session {
            kind: if session.is_ticket() {
                "ticket"
            } else {
                "cookie"
            },
            set_with_legacy_cookie: session.is_paired(),
            remembered: session.is_remembered(),
            created: rfc3339(session.created_at()),
            sealed: rfc3339(session.sealed_at()),
            expires: rfc3339(session.expires_at()),
            expires_at_last: rfc3339(session.expires_at_last()),
            has_owner: (!session.is_ticket()).then(|| session.owner().is_some()),
            owner: session.owner().filter(|_| self.show_values),
            entries: session.keys().map(|key| self.entry(session, key)).collect(),
        }
    }

    fn entry<'a>(&self, session: &'a InspectedSession, key: &'a str) -> Entry<'a> {
        let json = session.json(key).unwrap_or_default();
        let value = serde_json::from_str(json).ok();
        Entry {
            key,
            bytes: json.len(),
            value: value.filter(|_| self.show_values),
        }
    }

    fn print(
        &self,
        layer: &SessionLayer,
        inspected: Inspected<'_>,
        session: Option<&InspectedSession>,
        now: OffsetDateTime,
    ) -> Outcome<()> {
        let mut lines = Lines::default();
        let verdict = match (inspected.valid, inspected.reason) {
            (true, _) => "valid".to_owned(),
            (false, Some(reason)) => format!("not valid: {}", explain(reason)),
            (false, None) => "not valid: the store has no such session, or it ended".to_owned(),
        };
        lines.push("verdict", verdict);
        if let Some(key) = &inspected.key {
            lines.push("key", format!("{} ({})", key.id, key.is));
        }
        let whole = layer.cookie_name().len() + 1 + inspected.bytes;
        lines.push("size", format!("{whole} of 4096 bytes, with the name"));
        if let (Some(shown), Some(session)) = (&inspected.session, session) {
            let kind = match session.is_ticket() {
                true => "ticket, the session is in a store",
                false => "session in the cookie",
            };
            let paired = match shown.set_with_legacy_cookie {
                true => ", set with a legacy cookie",
                false => "",
            };
            lines.push("kind", format!("{kind}{paired}"));
            lines.push("id", format!("{:?} (as in events)", session.id()));
            lines.push("created", moment_from(session.created_at(), now));
            lines.push("sealed", moment_from(session.sealed_at(), now));
            if session.expires_at() != session.expires_at_last() {
                lines.push("unused until", moment_from(session.expires_at(), now));
            }
            lines.push("at last until", moment_from(session.expires_at_last(), now));
            lines.push("remembered", if shown.remembered { "yes" } else { "no" });
            match (shown.owner, shown.has_owner) {
                (Some(owner), _) => lines.push("owner", plain(owner)),
                (None, Some(true)) => lines.push("owner", "yes (--show-values shows it)"),
                (None, Some(false)) => lines.push("owner", "none"),
                (None, None) => {}
            }
            for entry in &shown.entries {
                let value = match entry.value {
                    Some(value) => plain(value.get()),
                    None => format!("{} bytes (--show-values shows it)", entry.bytes),
                };
                lines.push(format!("entry {}", plain(entry.key)), value);
            }
        }
        for attribute in &inspected.missing_attributes {
            lines.push(
                "warning",
                format!("the header sets the cookie without {attribute}"),
            );
        }
        lines.print()
    }
}

fn key(key: InspectedKey) -> Key {
    Key {
        id: key.to_string(),
        is: match key.is_current() {
            Some(true) => "current",
            Some(false) => "fallback",
            None => "unknown",
        },
    }
}

fn explain(reason: &str) -> String {
    let text = match reason {
        "garbage" => "garbage, not the value of a session cookie, or cut off",
        "version" => "version, of a release that this one does not know",
        "unknown_key" => {
            "unknown_key, sealed with another secret, or for another --cookie or --audience"
        }
        "forged" => "forged, it was changed after it was sealed",
        "malformed" => "malformed, sealed with this secret but not by this crate",
        "expired" => "expired",
        "future" => "future, sealed more than a minute ahead of this clock",
        other => other,
    };
    text.to_owned()
}

/// Whether the app would have a session for that cookie.
async fn is_accepted(layer: &SessionLayer, value: &str) -> Outcome<bool> {
    let pair = format!("{}={value}", layer.cookie_name());
    let Ok(mut pair) = HeaderValue::from_str(&pair) else {
        return Ok(false);
    };
    pair.set_sensitive(true);
    let headers = HeaderMap::from_iter([(COOKIE, pair)]);
    Ok(layer.open(&headers).await?.id().is_some())
}
