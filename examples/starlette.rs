//! Uses the sessions of a Starlette or FastAPI app, in one of three modes:
//!
//! ```sh
//! export STARLETTE_SECRET=… SESSION_SECRET=$(openssl rand -hex 32)
//! cargo run --example starlette --features starlette -- migrate   # the legacy app no longer runs
//! cargo run --example starlette --features starlette -- dual      # the legacy app may still run
//! cargo run --example starlette --features starlette -- share     # both apps use the legacy cookie
//!
//! curl -b "session=$OLD_COOKIE" -c jar http://localhost:3000/
//! curl -b jar -c jar -X POST 'http://localhost:3000/set?key=theme&value=dark'
//! curl -b jar -c jar -X POST http://localhost:3000/logout
//! ```
//!
//! Environment variables: `PORT` (default 3000), `STARLETTE_SECRET` (the legacy app's
//! `secret_key`), `STARLETTE_MAX_AGE` (its `max_age`, default 1209600 seconds), `SESSION_SECRET`
//! (default: a random secret, lost at exit; not used by `share`).

use std::{collections::BTreeMap, env, time::Duration};

use axum::{
    Router,
    extract::Query,
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower_sealed_session::{
    Error, OffsetDateTime, Session, SessionLayerBuilder, SignedSessionLayer,
    compat::{LegacyCookie, Starlette},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let secret = env::var("STARLETTE_SECRET")
        .map_err(|_| "set STARLETTE_SECRET to the legacy app's secret_key")?;
    let max_age = env::var("STARLETTE_MAX_AGE").map_or(Ok(1_209_600), |seconds| seconds.parse())?;
    let max_age = Duration::from_secs(max_age);
    let old = LegacyCookie::new(Starlette::new([secret])?, max_age).name("session");
    // a real app uses a fixed date
    let until = OffsetDateTime::now_utc() + max_age;
    let sealed = || -> Result<SessionLayerBuilder, Box<dyn std::error::Error>> {
        Ok(SessionLayerBuilder::from_env_or_ephemeral()?
            // must differ from the legacy cookie's name even without the prefix `__Host-`
            .name("sealed_session")
            .idle_timeout(max_age)
            .absolute_timeout(4 * max_age))
    };
    let app = match env::args().nth(1).as_deref() {
        Some("migrate") => app().layer(sealed()?.migrate(old, until).build()?),
        Some("dual") => app().layer(sealed()?.dual_write(old, until).build()?),
        Some("share") => app().layer(SignedSessionLayer::new(old)?),
        _ => return Err("usage: starlette migrate|dual|share".into()),
    };

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

fn app() -> Router {
    Router::new()
        .route("/", get(show))
        .route("/set", post(set))
        .route("/logout", post(logout))
}

/// Values are not parsed, so that numbers keep all digits.
async fn show(session: Session) -> Result<impl IntoResponse, Error> {
    let entries: BTreeMap<String, Box<RawValue>> = session.read()?;
    let json = serde_json::to_string(&entries).expect("valid JSON");
    Ok(([(CONTENT_TYPE, "application/json")], json))
}

#[derive(Deserialize)]
struct Entry {
    key: String,
    value: String,
}

async fn set(session: Session, Query(entry): Query<Entry>) -> Result<&'static str, Error> {
    session.insert(&entry.key, entry.value)?;
    Ok("set\n")
}

async fn logout(session: Session) -> &'static str {
    session.logout();
    "logged out\n"
}
