//! A WebSocket that is open while its visitor logs out on another instance.

use std::time::Duration;

use axum::{
    Router,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderMap,
    response::Response,
    routing::get,
};
use serde::Deserialize;
use tower_sealed_session::{Error, Session, SessionLayer};

use super::Instances;
use crate::browser::{Browser, Outcome, serve};

const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Opens two sockets. After five messages of each, it logs out at the address in the first argument.
/// Cookies do not depend on the port, so the browser sends the same one.
const SCRIPT: &str = r#"
    const [logout, done] = arguments;
    const opened = ["/extracted", "/opened"].map(path => {
        const socket = new WebSocket(`ws://${location.host}${path}`);
        const messages = [];
        const enough = new Promise(resolve => socket.onmessage = ({ data }) => {
            if (messages.push(data) === 5) resolve();
        });
        const closed = new Promise(resolve => socket.onclose = ({ code, reason }) =>
            resolve({ code, reason, messages, at: performance.now() }));
        return { socket, enough, closed };
    });
    const run = async () => {
        // a socket that closes too early ends the wait
        await Promise.all(opened.map(({ enough, closed }) => Promise.race([enough, closed])));
        const were_open = opened.every(({ socket }) => socket.readyState === WebSocket.OPEN);
        await fetch(logout, { mode: "no-cors", credentials: "include" });
        const end = performance.now();
        const closed = await Promise.all(opened.map(({ closed }) => closed));
        return {
            were_open,
            closed: closed.map(({ at, ...rest }) => ({ ...rest, after_ms: at - end })),
        };
    };
    run().then(done, error => done(String(error)));
"#;

#[derive(Debug, Deserialize)]
struct Seen {
    were_open: bool,
    closed: Vec<Closed>,
}

#[derive(Debug, Deserialize)]
struct Closed {
    code: u16,
    reason: String,
    messages: Vec<String>,
    after_ms: f64,
}

/// Sends the name of the owner while the session is valid, and then closes the socket.
async fn watch<F>(mut socket: WebSocket, owner: Option<String>, still_valid: impl Fn() -> F)
where
    F: Future<Output = Result<bool, Error>>,
{
    let owner = owner.unwrap_or_default();
    while let Ok(true) = still_valid().await {
        if socket.send(Message::text(&owner)).await.is_err() {
            return;
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: "logged out".into(),
    };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

/// With the session of the handshake.
async fn extracted(session: Session, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| {
        watch(socket, session.owner(), || session.still_valid()).await;
    })
}

/// With a view of the session that the headers of the handshake bring.
async fn opened(
    State(sessions): State<SessionLayer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let view = sessions.open(&headers).await?;
    Ok(upgrade.on_upgrade(async move |socket| {
        watch(socket, view.owner(), || view.still_valid()).await;
    }))
}

#[tokio::test]
async fn open_socket_is_closed_within_a_second_after_a_logout_elsewhere() -> Outcome {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let sockets = Router::new()
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/extracted", get(extracted))
        .route("/opened", get(opened))
        .with_state(there.layer.clone())
        .layer(there.layer.clone());
    let origin = |port| format!("http://localhost:{port}");
    let logout = format!("{}/logout", origin(serve(here.app.clone()).await?));
    let browser = Browser::at_origin(origin(serve(sockets).await?)).await?;

    browser.open("/login").await?;
    let seen = browser
        .client
        .execute_async(SCRIPT, vec![logout.into()])
        .await?;
    let text = seen.to_string();
    let seen: Seen = serde_json::from_value(seen)?;
    assert!(
        seen.were_open,
        "without a logout, a socket stays open: {text}"
    );
    assert_eq!(seen.closed.len(), 2);
    for closed in seen.closed {
        assert!(closed.messages.iter().all(|owner| owner == "ada"), "{text}");
        assert_eq!((closed.code, &*closed.reason), (1008, "logged out"));
        assert!(closed.after_ms < 1000.0, "{text}");
    }
    assert!(browser.client.get_all_cookies().await?.is_empty());
    Ok(())
}
