//! Several processes of the example share one store.

use std::process::Command;

use http::Method;

use super::backend::Backend;
use crate::{
    http_client::Http,
    processes::{Folder, Server, example},
    support::{NAME, SECRET},
};

pub(super) fn start(url: &str) -> Server {
    Server::start(
        "stores",
        &[("SESSION_SECRET", SECRET), ("SESSION_STORE_URL", url)],
    )
}

/// The stores that several processes can open.
async fn backends() -> [Backend; 4] {
    [
        Backend::sqlite().await,
        Backend::redis().await,
        Backend::postgres().await,
        Backend::mariadb().await,
    ]
}

/// Sends a request with this cookie. Returns the status, the body and the cookie to send next.
async fn ask(http: &Http, server: &Server, path: &str, cookie: &str) -> (u16, String, String) {
    let url = format!("http://127.0.0.1:{}{path}", server.port);
    let line = format!("{NAME}={cookie}");
    let (status, body, cookies) = http.send(Method::GET, &url, &line, String::new()).await;
    let cookie = cookies
        .first()
        .map_or(cookie.to_owned(), |cookie| cookie.value().to_owned());
    (status, body, cookie)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9_of_either_instance() {
    for backend in backends().await {
        let mut servers = [start(&backend.url()), start(&backend.url())];
        let http = Http::new();
        let (_, _, cookie) = ask(&http, &servers[0], "/set/start/1", "").await;
        let mut acknowledged = vec![("start".to_owned(), "1".to_owned())];
        for round in 0..4 {
            let writes = (0..60).map(|n| {
                let (http, servers, cookie) = (&http, &servers, &cookie);
                async move {
                    let url = format!(
                        "http://127.0.0.1:{}/set/k{round}-{n}/{n}",
                        servers[n % 2].port
                    );
                    let line = format!("{NAME}={cookie}");
                    let status = http.try_send(Method::GET, &url, &line).await;
                    (status == Some(200)).then(|| (format!("k{round}-{n}"), n.to_string()))
                }
            });
            let killed = servers[round % 2].pid();
            let kill = async {
                tokio::time::sleep(std::time::Duration::from_millis(15)).await;
                Command::new("kill")
                    .args(["-9", &killed.to_string()])
                    .status()
                    .expect("kill runs");
            };
            let (written, ()) = tokio::join!(futures_util::future::join_all(writes), kill);
            acknowledged.extend(written.into_iter().flatten());
            servers[round % 2] = start(&backend.url());
        }
        assert!(acknowledged.len() > 100, "{}", acknowledged.len());
        for (n, (key, value)) in acknowledged.iter().enumerate() {
            let (status, body, _) =
                ask(&http, &servers[n % 2], &format!("/get/{key}"), &cookie).await;
            assert_eq!((status, &body), (200, value), "{key}");
        }
        assert_eq!(
            ask(&http, &servers[0], "/get/nothing", &cookie).await.0,
            404
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_on_another_instance_during_a_slow_request_stays_final() {
    for backend in backends().await {
        let servers = [start(&backend.url()), start(&backend.url())];
        let http = Http::new();
        let (_, _, cookie) = ask(&http, &servers[0], "/set/a/1", "").await;
        let slow = ask(&http, &servers[0], "/sleep/400/b/2", &cookie);
        let logout = async {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            let url = format!("http://127.0.0.1:{}/logout", servers[1].port);
            let line = format!("{NAME}={cookie}");
            http.send(Method::POST, &url, &line, String::new()).await
        };
        let ((status, _, after), (_, _, removed)) = tokio::join!(slow, logout);
        assert_eq!((status, &after), (200, &cookie), "no cookie is set");
        assert_eq!(removed[0].value(), "");
        for server in &servers {
            for key in ["a", "b"] {
                assert_eq!(
                    ask(&http, server, &format!("/get/{key}"), &cookie).await.0,
                    404
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn url_selects_overflow_memory_or_no_store() {
    let http = Http::new();
    let backend = Backend::sqlite().await;
    let overflow = start(&format!("overflow+{}", backend.url()));
    let (_, _, cookie) = ask(&http, &overflow, "/set/a/1", "").await;
    let small = cookie.len();
    let (status, _, cookie) = ask(
        &http,
        &overflow,
        &format!("/set/b/{}", "x".repeat(5000)),
        &cookie,
    )
    .await;
    assert!(status == 200 && cookie.len() < small + 20);
    assert_eq!(ask(&http, &overflow, "/get/a", &cookie).await.1, "1");
    for url in ["memory:", ""] {
        let server = start(url);
        let (_, _, cookie) = ask(&http, &server, "/set/a/1", "").await;
        assert_eq!(ask(&http, &server, "/get/a", &cookie).await.1, "1");
    }
}

/// The shop's cart is a list, and the script sets a text with the same key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_routes_do_not_replace_entries_of_the_shop() {
    let (http, server) = (Http::new(), start("memory:"));
    let (_, _, cookie) = ask(&http, &server, "/set/cart/x", "").await;
    assert_eq!(ask(&http, &server, "/get/cart", &cookie).await.1, "x");
    let url = format!("http://127.0.0.1:{}/cart", server.port);
    let line = format!("{NAME}={cookie}");
    let (status, ..) = http.send_form(&url, &line, "item=Assam").await;
    assert_eq!(status, 303);
    let (status, page, _) = ask(&http, &server, "/", &cookie).await;
    assert!(status == 200 && page.contains("Assam"), "{status}");
    assert_eq!(ask(&http, &server, "/get/cart", &cookie).await.1, "x");
}

#[test]
fn unusable_store_ends_the_program_with_the_reason() {
    let folder = Folder::new();
    let garbage = folder.0.join("garbage.db");
    std::fs::write(&garbage, "no database ".repeat(1000)).expect("a file");
    for (url, wanted) in [
        ("redis://:hunter2@127.0.0.1:1/0", "no redis answers"),
        (
            "rediss://:hunter2@127.0.0.1:1/0",
            match cfg!(feature = "redis-tls") {
                true => "no redis answers",
                false => "TLS",
            },
        ),
        ("postgre://u:hunter2@h/d", "no store has the scheme"),
        ("hunter2", "no store has the scheme"),
        ("sqlite:/nowhere/at/all/hunter2.db", "cannot be opened"),
        (&format!("sqlite:{}", garbage.display()), "it is a database"),
    ] {
        let output = example("stores")
            .env("SESSION_STORE_URL", url)
            .output()
            .expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            !output.status.success() && stderr.contains(wanted),
            "{url}: {stderr}"
        );
        assert!(!stderr.contains(":hunter2@"), "{stderr}");
    }
}
