//! A small shop: a cart that works before and after a login, "remember me", a members' page, a
//! one-time notice, and logout. Its style is in `style.css`.
//!
//! ```sh
//! cargo run --example login
//! open http://localhost:3000/
//! ```
//!
//! Environment variables: `PORT` (default 3000) and `SESSION_SECRET` (default: a random secret,
//! lost at exit). Chromium, Firefox and curl accept the cookie on `http://localhost`. Safari does
//! so only if `SESSION_INSECURE_HTTP` is `1`.
//!
//! Any name can log in. A real app would ask for a password.

use std::time::Duration;

use axum::{
    Form, Router,
    extract::Query,
    http::{
        HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::map_response,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use tower_sealed_session::{
    Error, ErrorKind, OffsetDateTime, Session, SessionLayer, same_site_path,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let app = app(SessionLayer::from_env_or_ephemeral()?);

    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

pub(crate) fn app(sessions: SessionLayer) -> Router {
    around(pages(), sessions)
}

pub(crate) fn pages() -> Router {
    Router::new()
        .route("/", get(shop))
        .route("/me", get(me))
        .route("/cart", post(add_to_cart))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/style.css", get(style))
}

pub(crate) fn around(pages: Router, sessions: SessionLayer) -> Router {
    pages
        .layer(sessions)
        // SameSite does not protect a login form, because a forged login needs no cookie. This layer
        // is outside the sessions: it refuses other sites' forms before anything else runs.
        .layer(CsrfLayer::new().with_rejection_response(|_| {
            refusal(
                StatusCode::FORBIDDEN,
                "Another site sent this form, so it was refused.",
            )
        }))
        .layer(map_response(finish))
}

/// Adds the security headers to every response, and a page to an error of the session.
async fn finish(mut response: Response) -> impl IntoResponse {
    if response.extensions().get::<Error>().is_some() {
        let page = refusal(
            response.status(),
            "Something went wrong. Please try again in a moment.",
        );
        // `Retry-After` and `Set-Cookie` stay
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        *response.body_mut() = page.into_body();
    }
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                  base-uri 'none'";
    let headers = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // with `no-referrer`, browsers would hide the `Origin` of forms from the `CsrfLayer`
        (REFERRER_POLICY, "same-origin"),
    ];
    (headers, response)
}

async fn shop(session: Session) -> Result<Response, Error> {
    let notice = take_notice(&session)?;
    let cart = session.get::<Vec<String>>("cart")?.unwrap_or_default();
    let items = match cart.is_empty() {
        true => "<p class=quiet>Nothing yet.</p>".to_owned(),
        false => {
            let items = cart.iter().map(|item| format!("<li>{}</li>", escape(item)));
            format!("<ul>{}</ul>", items.collect::<String>())
        }
    };
    let visitor = match session.owner() {
        Some(name) => format!(
            r#"<h2>Hello, {}</h2>
            <p><a href="/me">Your page</a></p>
            <form method=post action=/logout><button class=second>Log out</button></form>"#,
            escape(&name)
        ),
        None => r#"<p><a href="/login">Log in</a> – your cart stays as it is.</p>"#.to_owned(),
    };
    let body = format!(
        r#"{notice}
        <section><h2>Your cart</h2>
        {items}
        <form method=post action=/cart class=row>
          <input name=item required maxlength=200 placeholder="Darjeeling, 100 g" aria-label=Item>
          <button>Add</button>
        </form></section>
        <section>{visitor}</section>"#
    );
    Ok(page("Tea shop", &body))
}

/// The members' page. Other visitors log in first.
async fn me(session: Session) -> Result<Response, Error> {
    let Some(name) = session.owner() else {
        return Ok(Redirect::to("/login?next=/me").into_response());
    };
    let cart = session.get::<Vec<String>>("cart")?.unwrap_or_default();
    // a session that is not remembered ends within a day, even if it is used
    let remembered = session.expires_at() - session.created_at() > DAY;
    let body = format!(
        r#"{}
        <section><h2>{}</h2>
        <dl><dt>Logged in</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd>
        <dt>In your cart</dt><dd>{}</dd></dl>
        <p><a href="/">To the shop</a></p></section>"#,
        take_notice(&session)?,
        escape(&name),
        minutes(session.created_at()),
        if remembered {
            "Remembered until"
        } else {
            "Ends if unused"
        },
        minutes(session.expires_at()),
        cart.len(),
    );
    Ok(page("Your page", &body))
}

#[derive(Deserialize)]
struct Item {
    item: String,
}

async fn add_to_cart(session: Session, Form(form): Form<Item>) -> Result<Response, Error> {
    let added = session.update("cart", move |cart: Option<Vec<String>>| {
        let mut cart = cart.unwrap_or_default();
        cart.push(form.item.clone());
        cart
    });
    match added {
        Ok(_) => Ok(Redirect::to("/").into_response()),
        Err(error) if error.kind() == ErrorKind::TooLarge => Ok(cart_is_full()),
        Err(error) => Err(error),
    }
}

/// Where to go after the login.
#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

impl Next {
    /// A path of this site: a link to `/login` must not lead to another site after the login.
    fn path(&self) -> &str {
        same_site_path(&self.next).unwrap_or("/")
    }
}

async fn login_page(Query(next): Query<Next>) -> Response {
    login_form("", &next)
}

fn login_form(notice: &str, next: &Next) -> Response {
    let body = format!(
        r#"{notice}
        <section><form method=post action=/login>
          <input type=hidden name=next value="{}">
          <label>Name <input name=name required maxlength=60 autocomplete=username></label>
          <label><input type=checkbox name=remember value=yes> Remember me for 30 days</label>
          <button>Log in</button>
        </form></section>
        <p class=quiet>Any name will do. <a href="/">To the shop</a></p>"#,
        escape(next.path())
    );
    page("Log in", &body)
}

#[derive(Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
    #[serde(flatten)]
    next: Next,
}

async fn login(session: Session, Form(form): Form<Login>) -> Result<Response, Error> {
    let name = form.name.trim();
    match session.login(name) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::TooLarge => return Ok(cart_is_full()),
        Err(error) if error.kind() == ErrorKind::InvalidOwner => {
            let form = login_form(&notice("warn", "Please enter a name."), &form.next);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
        }
        Err(error) => return Err(error),
    }
    if form.remember.is_some() {
        session.remember(30 * DAY);
    }
    // the notice may not fit beside a full cart; the login must still succeed
    let _ = session.insert("notice", format!("Welcome, {name}."));
    Ok(Redirect::to(form.next.path()).into_response())
}

async fn logout(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

/// The notice of the last request. It is shown once.
fn take_notice(session: &Session) -> Result<String, Error> {
    let text = session.take::<String>("notice")?;
    Ok(text.map(|text| notice("note", &text)).unwrap_or_default())
}

fn cart_is_full() -> Response {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "Your cart is full.")
}

fn refusal(status: StatusCode, why: &str) -> Response {
    let body = notice("warn", why) + r#"<p><a href="/">To the shop</a></p>"#;
    (status, page("Tea shop", &body)).into_response()
}

pub(crate) fn minutes(moment: OffsetDateTime) -> String {
    let (hour, minute, _) = moment.to_hms();
    format!("{}, {hour:02}:{minute:02} UTC", moment.date())
}

fn notice(class: &str, text: &str) -> String {
    format!(r#"<p class="{class}" role=status>{}</p>"#, escape(text))
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A page for one visitor. Without `no-store`, the Back button would show it after a logout.
pub(crate) fn page(title: &str, body: &str) -> Response {
    let html = format!(
        r#"<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel=stylesheet href="/style.css">
<main>
<h1>{title}</h1>
{body}
</main>
</html>
"#
    );
    ([(CACHE_CONTROL, "no-store")], Html(html)).into_response()
}

async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("style.css"))
}
