//! The requests that meet, and their answers.

use std::{cell::Cell, convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_sealed_session::{Error, Session, SessionLayer};

use crate::gate::Gate;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// Sets an entry of its own.
    Write,
    /// Adds one to an entry that all updates share.
    Update,
    Renew,
    Login,
    LoginAsBob,
    Remember,
    Logout,
    /// Sets an entry and updates, commits, and sets another entry.
    Commit,
    DeleteOwner,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Update,
        Self::Renew,
        Self::Login,
        Self::LoginAsBob,
        Self::Remember,
        Self::Logout,
        Self::Commit,
        Self::DeleteOwner,
    ];

    pub(crate) fn is_login(self) -> bool {
        matches!(self, Self::Login | Self::LoginAsBob)
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Response {
        status: StatusCode,
        /// The value of the `Cookie` header that the browser has from then on, if the response
        /// changes it. Empty if it has none.
        cookie: Option<HeaderValue>,
        /// Whether the handler saw its commit succeed.
        committed: bool,
    },
    OwnerDeleted(bool),
    Dropped,
}

impl End {
    pub(crate) fn is_ok(&self) -> bool {
        match self {
            Self::Response { status, .. } => *status == StatusCode::OK,
            Self::OwnerDeleted(done) => *done,
            Self::Dropped => false,
        }
    }

    /// The cookie that the response set.
    pub(crate) fn cookie(&self) -> Option<&HeaderValue> {
        match self {
            Self::Response { cookie, .. } => cookie.as_ref().filter(|cookie| !cookie.is_empty()),
            _ => None,
        }
    }
}

pub(crate) const REMEMBERED: Duration = Duration::from_secs(20 * 24 * 3600);

/// The entry that a write sets, or a commit sets before it commits.
pub(crate) fn early(number: usize) -> String {
    format!("early{number}")
}

/// The entry that a commit sets after it commits.
pub(crate) fn late(number: usize) -> String {
    format!("late{number}")
}

/// Sends the request of that number, which bears that cookie.
pub(crate) async fn send(
    kind: Kind,
    number: usize,
    (layer, has_log): (&SessionLayer, bool),
    gate: &Gate,
    cookie: &HeaderValue,
) -> End {
    if has_log {
        gate.pause().await;
    }
    if kind == Kind::DeleteOwner {
        let deleted = match has_log {
            true => layer.revoke_owner("ada").await,
            false => layer.delete_owner("ada").await.map(drop),
        };
        return End::OwnerDeleted(deleted.is_ok());
    }
    let saw_commit = Cell::new(false);
    let end = visit(layer, cookie, async |session| {
        if has_log {
            gate.pause().await;
        }
        handle(kind, number, gate, &session, &saw_commit).await
    });
    match end.await {
        End::Response { status, cookie, .. } => End::Response {
            status,
            cookie,
            committed: saw_commit.get(),
        },
        end => end,
    }
}

/// Sends a request with that cookie to a handler.
pub(crate) async fn visit(
    layer: &SessionLayer,
    cookie: &HeaderValue,
    handler: impl AsyncFn(Session) -> Result<(), Error>,
) -> End {
    let handler = &handler;
    let service = layer.layer(service_fn(|request: Request<()>| async move {
        let handled = match Session::from_extensions(request.extensions()).await {
            Ok(session) => handler(session).await,
            Err(error) => Err(error),
        };
        Ok::<Response<Body>, Infallible>(handled.into_response())
    }));
    let mut request = Request::new(());
    if !cookie.is_empty() {
        request.headers_mut().insert(header::COOKIE, cookie.clone());
    }
    let Ok(response) = service.oneshot(request).await;
    let line = response.headers().get(header::SET_COOKIE);
    let pair = line.and_then(|line| line.as_bytes().split(|&byte| byte == b';').next());
    let cookie = pair.map(|pair| match pair.ends_with(b"=") {
        true => HeaderValue::from_static(""),
        false => HeaderValue::from_bytes(pair).expect("a part of a header"),
    });
    End::Response {
        status: response.status(),
        cookie,
        committed: false,
    }
}

async fn handle(
    kind: Kind,
    number: usize,
    gate: &Gate,
    session: &Session,
    committed: &Cell<bool>,
) -> Result<(), Error> {
    match kind {
        Kind::Read => drop(session.get::<String>("cart")?),
        Kind::Write => session.insert(&early(number), 1)?,
        Kind::Update => drop(session.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?),
        Kind::Renew => session.renew(),
        Kind::Login => session.login("ada")?,
        Kind::LoginAsBob => session.login("bob")?,
        Kind::Remember => session.remember(REMEMBERED),
        Kind::Logout => session.logout(),
        Kind::Commit => {
            session.insert(&early(number), 1)?;
            session.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            if let Some(saved) = gate.cancellable(session.commit()).await {
                saved?;
                committed.set(true);
            }
            session.insert(&late(number), 1)?;
        }
        Kind::DeleteOwner => unreachable!("it is no request"),
    }
    Ok(())
}
