//! The page "your devices": where a member is logged in, with buttons that end the other sessions.

use axum::{
    Form, Router,
    extract::{Request, State},
    http::{HeaderMap, Method, header::USER_AGENT},
    middleware::{Next, from_fn},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tower_sealed_session::{Error, Session, SessionLayer};

use super::login::{escape, minutes, page};

/// Adds the page to the pages of the shop. The sessions have to be in a store.
pub(crate) fn with_devices(pages: Router, sessions: SessionLayer) -> Router {
    let devices = Router::new()
        .route("/devices", get(devices))
        .route("/devices/end", post(end))
        .route("/devices/end-others", post(end_others))
        .with_state(sessions);
    pages.merge(devices).layer(from_fn(name_device))
}

/// After a login, the session remembers from which device it was.
async fn name_device(request: Request, next: Next) -> Result<Response, Error> {
    let logs_in = request.method() == Method::POST && request.uri().path() == "/login";
    if !logs_in {
        return Ok(next.run(request).await);
    }
    let session = Session::from_extensions(request.extensions()).await?;
    let device = device(request.headers());
    let response = next.run(request).await;
    if session.owner().is_some() {
        session.insert("device", device)?;
    }
    Ok(response)
}

/// A short name. The `User-Agent` itself would fill the page, and tells more than is needed.
fn device(headers: &HeaderMap) -> String {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    let first = |known: &[&'static str]| known.iter().copied().find(|name| agent.contains(name));
    let browser = first(&["Firefox", "Edg", "Chrome", "Safari", "curl"]).unwrap_or("A browser");
    match first(&["Android", "iPhone", "Windows", "Mac", "Linux"]) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    }
}

async fn devices(
    session: Session,
    State(sessions): State<SessionLayer>,
) -> Result<Response, Error> {
    let Some(owner) = session.owner() else {
        return Ok(Redirect::to("/login?next=/devices").into_response());
    };
    let mut items = String::new();
    for device in sessions.list_owner(&owner).await? {
        let name = device.view().get::<String>("device")?;
        let action = match device.is(&session) {
            true => "this device".to_owned(),
            false => format!(
                r#"<form method=post action=/devices/end><button class=second name=name value={}>Log out</button></form>"#,
                device.name()
            ),
        };
        items += &format!(
            "<li><b>{}</b><br>logged in {}<br>last used {}<br>{action}</li>",
            escape(name.as_deref().unwrap_or("Unknown device")),
            minutes(device.view().created_at()),
            minutes(device.last_used_at()),
        );
    }
    let body = format!(
        r#"<section><ul class=devices>{items}</ul>
        <form method=post action=/devices/end-others><button>Log out everywhere else</button></form></section>
        <p><a href="/">To the shop</a></p>"#
    );
    Ok(page("Your devices", &body))
}

#[derive(Deserialize)]
struct Device {
    name: String,
}

async fn end(
    session: Session,
    State(sessions): State<SessionLayer>,
    Form(device): Form<Device>,
) -> Result<Redirect, Error> {
    if let Some(owner) = session.owner() {
        sessions.delete_session(&owner, &device.name).await?;
    }
    Ok(Redirect::to("/devices"))
}

async fn end_others(
    session: Session,
    State(sessions): State<SessionLayer>,
) -> Result<Redirect, Error> {
    if let Some(owner) = session.owner() {
        sessions.delete_owner_except(&owner, &session).await?;
        // whoever has a copy of this session's cookie is out too
        session.renew();
    }
    Ok(Redirect::to("/devices"))
}
