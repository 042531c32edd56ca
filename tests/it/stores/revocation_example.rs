//! Several processes of the example read one log of ended sessions.

use std::time::{Duration, Instant};

use http::{
    Method, Request,
    header::{CONTENT_TYPE, COOKIE},
};

use super::backend::Backend;
use crate::{
    http_client::Http,
    processes::{Folder, Server, example},
    support::{NAME, SECRET},
};

const ADA: &str = "hello ada";
const NOBODY: &str = "nobody";
const FORM: &str = "application/x-www-form-urlencoded";

/// Two instances, and a client.
struct Site {
    servers: [Server; 2],
    http: Http,
}

impl Site {
    fn start(url: &str) -> Self {
        let env = [("SESSION_SECRET", SECRET), ("REVOCATIONS_URL", url)];
        Self {
            servers: [(); 2].map(|()| Server::start("revocation", &env)),
            http: Http::new(),
        }
    }

    fn url(&self, server: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.servers[server].port)
    }

    /// Logs in. Returns the cookie.
    async fn log_in(&self, server: usize) -> String {
        let url = self.url(server, "/login");
        let (status, _, cookies) = self.http.send_form(&url, "", "name=ada").await;
        assert_eq!((status, cookies[0].name()), (303, NAME));
        format!("{NAME}={}", cookies[0].value())
    }

    /// Sends the form of a logout. The browser then has no cookie.
    async fn log_out(&self, server: usize, path: &str, cookie: &str) {
        let url = self.url(server, path);
        let (status, _, cookies) = self.http.send_form(&url, cookie, "").await;
        assert_eq!((status, cookies[0].value()), (303, ""));
    }

    async fn sees(&self, server: usize, cookie: &str) -> String {
        let url = self.url(server, "/");
        let (status, body, _) = self
            .http
            .send(Method::GET, &url, cookie, String::new())
            .await;
        assert_eq!(status, 200);
        body
    }

    async fn members(&self, cookie: &str, mode: &str) -> (u16, Option<String>) {
        let request = Request::get(self.url(1, "/members"));
        let request = request.header(COOKIE, cookie);
        self.http
            .leads_to(request.header("sec-fetch-mode", mode), "")
            .await
    }

    async fn after_login(&self, next: &str) -> (u16, Option<String>) {
        let url = self.url(0, &format!("/login?next={next}"));
        let request = Request::post(url).header(CONTENT_TYPE, FORM);
        self.http.leads_to(request, "name=ada").await
    }
}

async fn logout_is_final_in_all_processes(log: &str) {
    let mut site = Site::start(log);
    let mut copies = Vec::new();
    for (end, ends_others) in [("/logout", false), ("/logout-everywhere", true)] {
        let (cookie, other) = (site.log_in(0).await, site.log_in(1).await);
        for server in [0, 1] {
            assert_eq!(site.sees(server, &cookie).await, ADA);
        }
        site.log_out(0, end, &cookie).await;
        let ended = Instant::now();
        assert_eq!(site.sees(0, &cookie).await, NOBODY, "{end}: here, at once");
        while site.sees(1, &cookie).await == ADA {
            assert!(ended.elapsed() < Duration::from_secs(1), "{end}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = if ends_others { NOBODY } else { ADA };
        for server in [0, 1] {
            assert_eq!(site.sees(server, &other).await, left, "{end}");
        }
        copies.extend([cookie, other]);
    }

    drop(site);
    site = Site::start(log);
    let cookie = site.log_in(1).await;
    for server in [0, 1] {
        for copy in &copies {
            assert_eq!(site.sees(server, copy).await, NOBODY, "restarted");
        }
        assert_eq!(site.sees(server, &cookie).await, ADA);
    }
}

#[tokio::test]
async fn logout_is_final_in_all_processes_with_redis() {
    let redis = Backend::redis().await;
    logout_is_final_in_all_processes(&redis.url()).await;
}

/// The first process creates the file.
#[tokio::test]
async fn logout_is_final_in_all_processes_with_sqlite() {
    let sqlite = Backend::Sqlite(Folder::new());
    logout_is_final_in_all_processes(&sqlite.url()).await;
}

#[tokio::test]
async fn logout_is_final_in_all_processes_with_postgres() {
    let postgres = Backend::postgres().await;
    logout_is_final_in_all_processes(&postgres.url()).await;
}

#[tokio::test]
async fn members_page_is_for_visitors_who_are_logged_in() {
    let redis = Backend::redis().await;
    let site = Site::start(&redis.url());
    let login_page = Some("/login?next=/members".to_owned());
    let cookie = site.log_in(0).await;
    for mode in ["navigate", "cors"] {
        assert_eq!(site.members(&cookie, mode).await, (200, None));
    }
    assert_eq!(site.members("", "cors").await, (401, None));
    assert_eq!(
        site.members("", "navigate").await,
        (303, login_page.clone())
    );
    let members = Some("/members".to_owned());
    assert_eq!(site.after_login("/members").await, (303, members));
    let start = Some("/".to_owned());
    assert_eq!(site.after_login("//evil.example").await, (303, start));

    site.log_out(1, "/logout-everywhere", &cookie).await;
    assert_eq!(site.members(&cookie, "cors").await, (401, None));
    assert_eq!(site.members(&cookie, "navigate").await, (303, login_page));
}

#[tokio::test]
async fn empty_name_is_refused() {
    let site = Site::start("memory:");
    let url = site.url(0, "/login");
    for form in ["name=", "name=+"] {
        let (status, body, cookies) = site.http.send_form(&url, "", form).await;
        assert_eq!((status, cookies.len()), (422, 0));
        assert!(body.contains("must have 1 to 255 bytes"), "{body}");
    }
}

#[test]
fn missing_or_unusable_log_ends_the_program_with_the_reason() {
    for (url, wanted) in [
        (None, "REVOCATIONS_URL is not set"),
        (Some(""), "REVOCATIONS_URL is not set"),
        (Some("postgre://u:hunter2@h/d"), "no store has the scheme"),
        (Some("redis://:hunter2@127.0.0.1:1/0"), "no redis answers"),
        (
            Some("sqlite:/nowhere/at/all/hunter2.db"),
            "cannot be opened",
        ),
    ] {
        let mut command = example("revocation");
        command.env_remove("REVOCATIONS_URL");
        let output = command.envs(url.map(|url| ("REVOCATIONS_URL", url)));
        let output = output.output().expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            !output.status.success() && stderr.contains(wanted),
            "{url:?}: {stderr}"
        );
        assert!(stderr.contains("error: REVOCATIONS_URL"), "{stderr}");
        assert!(!stderr.contains(":hunter2@"), "{stderr}");
    }
}
