//! Final logout for sessions in cookies: all instances read one log of ended sessions.
//!
//! ```sh
//! export SESSION_SECRET="$(openssl rand -base64 32)" REVOCATIONS_URL=redis://localhost:6379/0
//! PORT=3000 cargo run --example revocation --features redis &
//! PORT=3001 cargo run --example revocation --features redis &
//!
//! curl -c jar -d name=ada http://localhost:3000/login
//! cp jar copy
//! curl -b copy http://localhost:3001/                      # hello ada
//! curl -b jar -X POST http://localhost:3000/logout
//! curl -b copy http://localhost:3001/                      # nobody
//! ```
//!
//! | `REVOCATIONS_URL` | the log is |
//! |---|---|
//! | `redis://localhost:6379/0` | in Redis or Valkey |
//! | `postgres://user:password@localhost/database` | in PostgreSQL |
//! | `mysql://user:password@localhost/database` | in MariaDB or MySQL |
//! | `sqlite:revocations.db` | in a file, created if missing, for instances on one machine |
//! | `memory:` | in this process, for one instance |
//!
//! The feature has the name of the store, such as `postgres` or `sqlite`.
//!
//! POST `/logout` ends this session, and POST `/logout-everywhere` ends all sessions of its owner.
//! `/members` is for visitors who are logged in: browsers are sent to `/login`, and scripts get a
//! 401.
//!
//! Environment variables: `REVOCATIONS_URL`, `PORT` (default 3000) and `SESSION_SECRET` (default: a
//! random secret, lost at exit). All instances of an app need the same secret.
//!
//! Any name can log in. A real app would ask for a password.

use std::{env, process::ExitCode};

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{StatusCode, header::CACHE_CONTROL},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use tower_sealed_session::{
    Error, ErrorKind, Owner, Revocations, Session, SessionLayer, require_owner, same_site_path,
};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `Debug` shows the causes as well, and no password
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = SessionLayer::from_env_or_ephemeral()?
        .revocations(Revocations::from_env().await?)
        .login_page("/login");

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(sessions)).await?;
    Ok(())
}

fn app(sessions: SessionLayer) -> Router {
    Router::new()
        .route("/members", get(members))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route_layer(require_owner()) // guards the routes above it
        .route("/", get(hello))
        .route("/login", get(login_page).post(log_in))
        .route("/logout", post(log_out))
        .with_state(sessions.clone())
        .layer(sessions)
        // refuses the forms of other sites
        .layer(CsrfLayer::new())
}

/// Without `no-store`, the Back button would show the page after a logout.
async fn hello(owner: Option<Owner>) -> impl IntoResponse {
    let text = owner.map_or("nobody".to_owned(), |owner| format!("hello {owner}"));
    ([(CACHE_CONTROL, "no-store")], text)
}

async fn members() -> impl IntoResponse {
    let page = "<!doctype html><title>Members</title>\
        <form method=post action=/logout><button>Log out</button></form>\
        <form method=post action=/logout-everywhere><button>Log out everywhere</button></form>";
    ([(CACHE_CONTROL, "no-store")], Html(page))
}

/// The form has no `action`, so it is sent to the address of the page, and `next` stays in it.
async fn login_page() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Log in</title>\
        <form method=post><input name=name required aria-label=Name><button>Log in</button></form>",
    )
}

/// Where to go after the login.
#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn log_in(
    session: Session,
    Query(to): Query<Next>,
    Form(form): Form<Login>,
) -> Result<Response, Error> {
    match session.login(form.name.trim()) {
        Ok(()) => Ok(Redirect::to(same_site_path(&to.next).unwrap_or("/")).into_response()),
        Err(error) if error.kind() == ErrorKind::InvalidOwner => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn log_out(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

async fn log_out_everywhere(
    State(sessions): State<SessionLayer>,
    owner: Owner,
    session: Session,
) -> Result<Redirect, Error> {
    sessions.revoke_owner(&owner).await?;
    // removes the cookie, which is no longer valid
    session.logout();
    Ok(Redirect::to("/"))
}
