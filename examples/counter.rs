//! Counts each visitor's visits. The count is in the visitor's cookie.
//!
//! ```sh
//! cargo run --example counter
//! curl -c jar -b jar http://localhost:3000/
//! ```
//!
//! Environment variables: `PORT` (default 3000) and `SESSION_SECRET` (default: a random secret,
//! lost at exit). Chromium, Firefox and curl accept the cookie on `http://localhost`. Safari does
//! so only if `SESSION_INSECURE_HTTP` is `1`.

use axum::{Router, routing::get};
use tower_sealed_session::{Error, Session, SessionLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let sessions = SessionLayer::from_env_or_ephemeral()?;
    let app = Router::new().route("/", get(count)).layer(sessions);

    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn count(session: Session) -> Result<String, Error> {
    let n: u64 = session.get("n")?.unwrap_or(0) + 1;
    session.insert("n", n)?;
    Ok(format!("visit {n}"))
}
