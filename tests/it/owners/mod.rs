//! Routes for visitors who are logged in: `Owner`, `require_owner`, the login page and the app's
//! own check of owners.

#[cfg(all(feature = "check", feature = "memory"))]
mod check;
#[cfg(all(feature = "check", feature = "memory"))]
mod check_fails;
#[cfg(all(feature = "check", feature = "memory"))]
mod check_runs;
mod guards;
mod login_page;
mod paths;
mod raw;
mod tower;

use axum::{
    Router,
    body::Body,
    extract::{Path, Query},
    http::{Method, Request, header::COOKIE},
    response::Redirect,
    routing::{any, get},
};
use tower_sealed_session::{Error, Owner, Session, SessionLayer, require_owner, same_site_path};

use crate::support::{Answer, Visitor, send};

#[derive(serde::Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// Logs ada in, and leads back to the page that was wanted.
async fn login(session: Session, to: Query<Next>) -> Result<Redirect, Error> {
    session.login("ada")?;
    Ok(Redirect::to(same_site_path(&to.next).unwrap_or("/")))
}

/// An app with a guarded route of each kind.
fn app(layer: SessionLayer) -> Router {
    let deep = Router::new().route("/{*rest}", any(async |owner: Owner| owner.into_string()));
    Router::new()
        .route("/members", any("members only"))
        .route(
            "/members/{name}",
            any(async |Path(name): Path<String>| name),
        )
        .route_layer(require_owner())
        .nest("/deep", Router::new().nest("/er", deep))
        .route("/login", get(login))
        .route("/logout", get(async |session: Session| session.logout()))
        .route("/cart", get(async |s: Session| s.insert("cart", "tea")))
        .route("/unused", get("open to all"))
        .route("/len", get(async |s: Session| s.len().to_string()))
        .route("/me", any(async |owner: Owner| owner.into_string()))
        .route(
            "/maybe",
            get(async |owner: Option<Owner>| owner.map_or("nobody".to_owned(), Owner::into_string)),
        )
        .layer(layer)
}

/// Sends a request without a body.
async fn request(
    app: &Router,
    visitor: &mut Visitor,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !visitor.jar.is_empty() {
        request = request.header(COOKIE, visitor.cookie_line());
    }
    let answer = send(app, request.body(Body::empty()).expect("a request")).await;
    visitor.keep(&answer);
    answer
}

/// A visitor who follows a link.
const NAVIGATES: &[(&str, &str)] = &[("sec-fetch-mode", "navigate")];

/// Where the answer leads.
fn location(answer: &Answer) -> Option<&str> {
    assert_eq!(
        answer.status == 303,
        answer.headers.contains_key("location")
    );
    answer.header("location").first().copied()
}

async fn logged_in(app: &Router) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.get(app, "/login").await;
    assert_eq!(visitor.jar.len(), 1);
    visitor
}
