//! A shop in one file: a cart that works before and after a login, "remember me", a members' page,
//! a one-time notice, and logout.
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
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use tower_sealed_session::{Error, ErrorKind, OffsetDateTime, Session, SessionLayer};

const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

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
        .route("/login", post(login))
        .route("/logout", post(logout))
}

pub(crate) fn around(pages: Router, sessions: SessionLayer) -> Router {
    pages
        .layer(sessions)
        // SameSite does not protect a login form, because a forged login needs no cookie. The last
        // layer is the outermost: it rejects other sites' forms before anything else runs.
        .layer(CsrfLayer::new())
}

async fn shop(session: Session) -> Result<Html<String>, Error> {
    let notice = session
        .take::<String>("notice")?
        .map(|text| notice("note", &text));
    let cart = session.get::<Vec<String>>("cart")?.unwrap_or_default();
    let items = match cart.is_empty() {
        true => "<p class=quiet>Nothing yet.</p>".to_owned(),
        false => format!(
            "<ul>{}</ul>",
            cart.iter()
                .map(|item| format!("<li>{}</li>", escape(item)))
                .collect::<String>()
        ),
    };
    let visitor = match session.owner() {
        Some(name) => format!(
            r#"<h2>Hello, {}</h2>
            <p><a href="/me">Your page</a></p>
            <form method=post action=/logout><button class=second>Log out</button></form>"#,
            escape(&name)
        ),
        None => r#"<h2>Log in</h2>
            <p class=quiet>Any name will do. Your cart stays as it is.</p>
            <form method=post action=/login>
              <label>Name <input name=name required maxlength=60 autocomplete=username></label>
              <label><input type=checkbox name=remember value=yes> Remember me for 30 days</label>
              <button>Log in</button>
            </form>"#
            .to_owned(),
    };
    Ok(page(
        "Tea shop",
        &format!(
            r#"{}
            <section><h2>Your cart</h2>
            {items}
            <form method=post action=/cart class=row>
              <input name=item required maxlength=200 placeholder="Darjeeling, 100 g" aria-label=Item>
              <button>Add</button>
            </form></section>
            <section>{visitor}</section>"#,
            notice.unwrap_or_default()
        ),
    ))
}

async fn me(session: Session) -> Result<Response, Error> {
    let Some(name) = session.owner() else {
        return Ok(refusal(StatusCode::UNAUTHORIZED, "You are not logged in."));
    };
    let cart = session.get::<Vec<String>>("cart")?.unwrap_or_default();
    let body = format!(
        r#"<section><h2>{}</h2>
        <dl><dt>Logged in</dt><dd>{}</dd><dt>Ends if unused</dt><dd>{}</dd>
        <dt>In your cart</dt><dd>{}</dd></dl>
        <p><a href="/">To the shop</a></p></section>"#,
        escape(&name),
        minutes(session.created_at()),
        minutes(session.expires_at()),
        cart.len(),
    );
    Ok(page("Your page", &body).into_response())
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

#[derive(Deserialize)]
struct Login {
    name: String,
    remember: Option<String>,
}

async fn login(session: Session, Form(form): Form<Login>) -> Result<Response, Error> {
    match session.login(form.name.trim()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::TooLarge => return Ok(cart_is_full()),
        Err(error) if error.kind() == ErrorKind::InvalidOwner => {
            return Ok(refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Please enter a name.",
            ));
        }
        Err(error) => return Err(error),
    }
    if form.remember.is_some() {
        session.remember(REMEMBERED);
    }
    // the notice may not fit beside a full cart; the login must still succeed
    let _ = session.insert("notice", format!("Welcome, {}.", form.name.trim()));
    Ok(Redirect::to("/").into_response())
}

async fn logout(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

fn cart_is_full() -> Response {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "Your cart is full.")
}

fn refusal(status: StatusCode, why: &str) -> Response {
    let body = notice("warn", why) + r#"<p><a href="/">To the shop</a></p>"#;
    (status, page("Tea shop", &body)).into_response()
}

fn minutes(moment: OffsetDateTime) -> String {
    let (hour, minute, _) = moment.to_hms();
    format!("{}, {hour:02}:{minute:02} UTC", moment.date())
}

fn notice(class: &str, text: &str) -> String {
    format!(r#"<p class="{class}" role=status>{}</p>"#, escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        r#"<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 1.05rem/1.5 system-ui, sans-serif; color: #24302b; background: #f3f5ef; margin: 0; overflow-wrap: break-word }}
  main {{ max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
  h1 {{ font-size: 1.7rem; margin: 0 0 1.2rem }}
  h2 {{ font-size: 1.15rem; margin: 0 0 .6rem }}
  section {{ background: #fff; border: 1px solid #dde3d8; border-radius: .6rem; padding: 1.2rem 1.4rem; margin: 1rem 0 }}
  section p, ul {{ margin: 0 0 1rem }} section > :last-child {{ margin-bottom: 0 }} ul {{ padding-left: 1.2rem }}
  label {{ display: block; margin: 0 0 .8rem }}
  input:not([type=checkbox]) {{ font: inherit; padding: .4rem .6rem; border: 1px solid #b7c2b3; border-radius: .4rem; width: 100%; box-sizing: border-box }}
  button {{ font: inherit; padding: .45rem 1.1rem; border: 0; border-radius: .4rem; background: #2f6b4f; color: #fff; cursor: pointer }}
  button.second {{ background: #e4eae0; color: #24302b }}
  .row {{ display: flex; gap: .6rem }}
  .quiet {{ color: #5d6b63 }}
  .note, .warn {{ border-radius: .6rem; padding: .7rem 1.4rem; background: #dcefe2 }}
  .warn {{ background: #f9e3d3 }}
  dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 0 0 1rem }}
  dt {{ color: #5d6b63 }} dd {{ margin: 0 }}
  a {{ color: #2f6b4f }}
</style>
<main>
<h1>{title}</h1>
{body}
</main>
</html>
"#
    ))
}
