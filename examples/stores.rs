//! The login example with the store of `SESSION_STORE_URL`, for one or more instances.
//!
//! ```sh
//! SESSION_STORE_URL=redis://localhost:6379/0 cargo run --example stores --features redis
//! open http://localhost:3000/
//! ```
//!
//! | `SESSION_STORE_URL` | location of sessions |
//! |---|---|
//! | not set | in cookies |
//! | `memory:` | in this process |
//! | `sqlite:sessions.db` | in a file, created if missing |
//! | `postgres://user:password@localhost/database` | in PostgreSQL |
//! | `mysql://user:password@localhost/database` | in MariaDB or MySQL |
//! | `redis://localhost:6379/0` | in Redis or Valkey |
//! | `overflow+…` | in cookies if they fit, otherwise in this store |
//! | `read_from+…` | in cookies; sessions in this store are read too, for moves |
//!
//! With a store, `/devices` shows where the visitor is logged in.
//!
//! There are also routes for scripts: GET `/set/{key}/{value}`, GET `/get/{key}` (the plain value,
//! or 404), and GET `/sleep/{ms}/{key}/{value}`, which opens the session, waits, and then sets the
//! value. Their keys begin with `script.`, so that they cannot replace the shop's entries by values
//! of another type. (A real app must not change anything on GET.)
//!
//! Environment variables: `PORT` (default 3000), `SESSION_SECRET`, and `REVOCATIONS_URL` for a log
//! of revocations as in the example `revocation`. All instances of an app need the same secret.

#[path = "devices.rs"]
mod devices;
#[allow(dead_code, reason = "it is an example of its own")]
#[path = "login.rs"]
mod login;

use std::{env, error::Error, process::ExitCode, time::Duration};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tower_sealed_session::{
    Revocations, Session, SessionLayer, SessionLayerBuilder,
    store::{self, AnyStore, prune_every},
};

#[tokio::main]
async fn main() -> ExitCode {
    let tasks = |store| {
        tokio::spawn(prune_every(Duration::from_secs(600), store));
    };
    run(serve(tasks)).await
}

/// Runs an app until it fails, and prints the reason.
pub(crate) async fn run(app: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match app.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Serves the pages. If there is a store, `tasks` spawns what is to be done with it all the time.
pub(crate) async fn serve(tasks: impl FnOnce(AnyStore)) -> Result<(), Box<dyn Error>> {
    let mut sessions = SessionLayerBuilder::from_env_or_ephemeral()?.build()?;
    if let Ok(url) = env::var("SESSION_STORE_URL")
        && !url.is_empty()
    {
        sessions = in_store(sessions, &url, tasks).await?;
    }
    if env::var_os("REVOCATIONS_URL").is_some() {
        sessions = sessions.revocations(Revocations::from_env().await?);
    }
    let pages = devices::with_devices(login::pages(), sessions.clone())
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(read))
        .route("/sleep/{ms}/{key}/{value}", get(sleep_and_set));
    let app: Router = login::around(pages, sessions);

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// How the layer uses the store.
#[derive(Clone, Copy)]
enum Mode {
    Store,
    Overflow,
    ReadFrom,
}

async fn in_store(
    sessions: SessionLayer,
    url: &str,
    tasks: impl FnOnce(AnyStore),
) -> Result<SessionLayer, Box<dyn Error>> {
    let (mode, url) = if let Some(url) = url.strip_prefix("overflow+") {
        (Mode::Overflow, url)
    } else if let Some(url) = url.strip_prefix("read_from+") {
        (Mode::ReadFrom, url)
    } else {
        (Mode::Store, url)
    };
    let store = store::connect(url).await?;
    store.create_schema().await?;
    tasks(store.clone());
    Ok(match mode {
        Mode::Store => sessions.store(store),
        Mode::Overflow => sessions.overflow(store),
        Mode::ReadFrom => sessions.read_from(store),
    })
}

/// The key of an entry that belongs to the routes for scripts.
fn script(key: &str) -> String {
    format!("script.{key}")
}

async fn set(
    session: Session,
    Path((key, value)): Path<(String, String)>,
) -> Result<&'static str, tower_sealed_session::Error> {
    session.insert(&script(&key), value)?;
    Ok("set\n")
}

async fn read(
    session: Session,
    Path(key): Path<String>,
) -> Result<Result<String, StatusCode>, tower_sealed_session::Error> {
    let value = session.get::<String>(&script(&key))?;
    Ok(value.ok_or(StatusCode::NOT_FOUND))
}

async fn sleep_and_set(
    session: Session,
    Path((ms, key, value)): Path<(u64, String, String)>,
) -> Result<&'static str, tower_sealed_session::Error> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    session.insert(&script(&key), value)?;
    Ok("set\n")
}
