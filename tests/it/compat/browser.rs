//! A FastAPI app and the example behind one nginx, used with a real Chromium.

use std::{fs, net::TcpListener, process::Command, time::Duration};

use super::{OLD_SECRET, upstream::NEWEST};
use crate::{
    browser::{Browser, Outcome},
    processes::{Folder, Server},
    python::python,
    support::SECRET,
};

/// nginx with the legacy app under `/old/` and ours at `/`.
struct Proxy {
    _nginx: Process,
    _folder: Folder,
    origin: String,
}

struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Proxy {
    fn before(old: &Server, ours: &Server) -> Self {
        let folder = Folder::new();
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let path = folder.0.to_str().expect("UTF-8");
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
                uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
                server {{
                    listen 127.0.0.1:{port};
                    proxy_set_header Host $http_host;
                    location /old/ {{ proxy_pass http://127.0.0.1:{}/; }}
                    location / {{ proxy_pass http://127.0.0.1:{}; }}
                }}
            }}",
            old.port, ours.port
        );
        let file = folder.0.join("nginx.conf");
        fs::write(&file, config).expect("written");
        let nginx = Command::new("nginx")
            .arg("-p")
            .arg(path)
            .arg("-c")
            .arg(&file)
            .spawn();
        let nginx = nginx.expect("nginx is missing: `apt-get install -y nginx-light`");
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            _nginx: Process(nginx),
            _folder: folder,
            origin: format!("http://localhost:{port}"),
        }
    }
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
    fastapi.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/starlette/shop.py"
    ));
    let old = Server::run(fastapi.env("STARLETTE_SECRET", OLD_SECRET));
    let proxy = Proxy::before(&old, &ours);
    let site = Browser::at_origin(proxy.origin.clone()).await?;

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
