//! A FastAPI app and the example behind one nginx, used with a real browser.

use std::process::Command;

use super::{OLD_SECRET, upstream::NEWEST};
use crate::{
    browser::{Browser, Outcome},
    nginx::Nginx,
    processes::{Folder, Server},
    python::python,
    support::SECRET,
};

/// nginx with the legacy app under `/old/` and ours at `/`.
fn proxy(old: &Server, ours: &Server) -> Nginx {
    let locations = format!(
        "location /old/ {{ proxy_pass http://127.0.0.1:{}/; }}
        location / {{ proxy_pass http://127.0.0.1:{}; }}",
        old.port, ours.port
    );
    Nginx::start(Folder::new(), "", "", &locations)
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_share_a_cookie_share_the_session() -> Outcome {
    both_apps_share_the_session("share", &["session"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_with_a_cookie_each_share_the_session() -> Outcome {
    both_apps_share_the_session("dual", &["__Host-Http-sealed_session", "session"]).await
}

async fn both_apps_share_the_session(mode: &str, cookies: &[&str]) -> Outcome {
    let env = [("STARLETTE_SECRET", OLD_SECRET), ("SESSION_SECRET", SECRET)];
    let ours = Server::start_with("starlette", &[mode], &env);
    let mut fastapi = Command::new(python(NEWEST));
    fastapi.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/starlette/shop.py"));
    let old = Server::run(fastapi.env("STARLETTE_SECRET", OLD_SECRET));
    let proxy = proxy(&old, &ours);
    let site = Browser::at_origin(format!("http://localhost:{}", proxy.port)).await?;

    // login in the legacy app is visible here
    site.open("/old/").await?;
    site.wait_for("You are not logged in.").await?;
    log_in(&site, "ada").await?;
    site.open("/").await?;
    site.wait_for(r#"{"user":"ada"}"#).await?;
    // a value set here is visible in the legacy app
    post(&site, "/set?key=theme&value=dark").await?;
    site.open("/old/").await?;
    site.wait_for("The theme is dark.").await?;
    assert_eq!(site.cookie_names().await?, cookies);
    // logout here is a logout in the legacy app
    post(&site, "/logout").await?;
    site.open("/old/").await?;
    site.wait_for("You are not logged in.").await?;
    assert_eq!(site.cookie_names().await?, [""; 0]);

    // login here, logout in the legacy app
    post(&site, "/set?key=user&value=bob").await?;
    site.open("/old/").await?;
    site.wait_for("Hello, bob.").await?;
    site.click("[action=logout] button").await?;
    site.wait_for("You are not logged in.").await?;
    site.open("/").await?;
    site.wait_for("{}").await?;
    assert_eq!(site.cookie_names().await?, [""; 0]);

    // login in the legacy app again, after a logout there
    site.open("/old/").await?;
    log_in(&site, "eve").await?;
    site.open("/").await?;
    site.wait_for(r#"{"user":"eve"}"#).await
}

async fn log_in(site: &Browser, user: &str) -> Outcome {
    site.find("[name=user]").await?.send_keys(user).await?;
    site.click("[action=login] button").await?;
    site.wait_for(&format!("Hello, {user}.")).await
}

async fn post(site: &Browser, path: &str) -> Outcome {
    let script =
        "const [path, done] = arguments; fetch(path, {method: 'POST'}).then(r => done(r.status))";
    let status = site.client.execute_async(script, vec![path.into()]).await?;
    assert_eq!(status, 200);
    Ok(())
}
