//! The login example's pages over the store that `SESSION_STORE_URL` names, on one instance or several.
//!
//! ```sh
//! SESSION_STORE_URL=redis://localhost:6379/0 cargo run --example stores --features memory,redis,sqlite
//! open http://localhost:3000/
//! ```
//!
//! | `SESSION_STORE_URL` | where sessions are |
//! |---|---|
//! | not set | in their cookies |
//! | `memory:` | in this process |
//! | `sqlite:sessions.db` | in a file, which is made if it is missing |
//! | `redis://localhost:6379/0` | in Redis or Valkey |
//! | `overflow+…` | in their cookies while they fit, else there |
//! | `read_from+…` | in their cookies, and those that are there already are read: on the way to a store, or back |
//!
//! Beside the pages there are, for scripts, GET `/set/{key}/{value}`, GET `/get/{key}` (the bare value, or 404), and GET
//! `/sleep/{ms}/{key}/{value}`, which opens the session, waits, and then sets. (A real app changes nothing on GET.)
//!
//! Settings from the environment: `PORT` (3000) and `SESSION_SECRET`, which instances of one app share.

#[allow(dead_code, reason = "it is an example of its own")]
#[path = "login.rs"]
mod login;

use std::{error::Error, process::ExitCode, time::Duration};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tower_sealed_session::{
    Session, SessionLayer, SessionLayerBuilder,
    store::{MemoryStore, RedisStore, SqliteStore, Store, prune_every},
};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match serve().await {
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

async fn serve() -> Result<(), Box<dyn Error>> {
    let sessions = SessionLayerBuilder::from_env_or_ephemeral()?.build()?;
    let sessions = match std::env::var("SESSION_STORE_URL") {
        Ok(url) if !url.is_empty() => in_store(sessions, &url).await?,
        _ => sessions,
    };
    let pages = login::pages()
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(read))
        .route("/sleep/{ms}/{key}/{value}", get(sleep_and_set));
    let app: Router = login::around(pages, sessions);

    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// How a layer uses a store.
#[derive(Clone, Copy)]
enum Mode {
    Store,
    Overflow,
    ReadFrom,
}

impl Mode {
    fn over(self, sessions: SessionLayer, store: impl Store) -> SessionLayer {
        match self {
            Self::Store => sessions.store(store),
            Self::Overflow => sessions.overflow(store),
            Self::ReadFrom => sessions.read_from(store),
        }
    }
}

async fn in_store(sessions: SessionLayer, url: &str) -> Result<SessionLayer, Box<dyn Error>> {
    let (mode, url) = if let Some(url) = url.strip_prefix("overflow+") {
        (Mode::Overflow, url)
    } else if let Some(url) = url.strip_prefix("read_from+") {
        (Mode::ReadFrom, url)
    } else {
        (Mode::Store, url)
    };
    match url.split(':').next().unwrap_or_default() {
        "memory" => Ok(mode.over(sessions, MemoryStore::new())),
        "redis" | "rediss" | "valkey" => Ok(mode.over(sessions, RedisStore::connect(url).await?)),
        "sqlite" => {
            let store = SqliteStore::connect(url).await?;
            store.create_schema().await?;
            tokio::spawn(prune_every(Duration::from_secs(600), store.clone()));
            Ok(mode.over(sessions, store))
        }
        // the rest of a URL may hold a password
        scheme => Err(format!(
            "SESSION_STORE_URL begins with {scheme:?}, which is none of memory:, redis: and sqlite:"
        )
        .into()),
    }
}

async fn set(
    session: Session,
    Path((key, value)): Path<(String, String)>,
) -> Result<&'static str, tower_sealed_session::Error> {
    session.insert(&key, value)?;
    Ok("set\n")
}

async fn read(
    session: Session,
    Path(key): Path<String>,
) -> Result<Result<String, StatusCode>, tower_sealed_session::Error> {
    Ok(session.get::<String>(&key)?.ok_or(StatusCode::NOT_FOUND))
}

async fn sleep_and_set(
    session: Session,
    Path((ms, key, value)): Path<(u64, String, String)>,
) -> Result<&'static str, tower_sealed_session::Error> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    session.insert(&key, value)?;
    Ok("set\n")
}
