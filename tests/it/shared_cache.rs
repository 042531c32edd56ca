//! A real nginx as a shared cache that ignores `Vary`, in front of the layer.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::{Router, extract::Path, routing::get};
use http::{HeaderName, Method, header::CACHE_CONTROL};
use tower_sealed_session::{Session, testing};

use crate::{browser::serve, http_client::Http, nginx::Nginx, processes::Folder, support::layer};

/// Values of `Cache-Control` with which nginx stores a response.
const STORED: [&str; 8] = [
    "max-age=60",
    "max-age=60, must-revalidate",
    "max-age=60, proxy-revalidate",
    "max-age=60, immutable",
    "max-age=60, stale-while-revalidate=60",
    "x=\"a, b\", max-age=60",
    "public, max-age=60",
    "s-maxage=60",
];

/// With these, the application itself said that all visitors may get the response.
const SHARED: [&str; 2] = ["public, max-age=60", "s-maxage=60"];

type Answer = ([(HeaderName, &'static str); 1], String);

/// Answers with the session's owner.
async fn owner(session: Session, Path(n): Path<usize>) -> Answer {
    let owner = session.owner().expect("logged in");
    ([(CACHE_CONTROL, STORED[n])], owner)
}

/// Answers with another number to each request, without a session.
async fn number(Path(n): Path<usize>) -> Answer {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    ([(CACHE_CONTROL, STORED[n])], number)
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_that_ignores_vary_mixes_no_visitors() {
    let layer = layer();
    let app = Router::new()
        .route("/owner/{n}", get(owner))
        .route("/number/{n}", get(number))
        .layer(layer.clone());
    let port = serve(app).await.expect("a port");
    let cache = Nginx::start(
        Folder::new(),
        "proxy_cache_path c keys_zone=pages:1m; proxy_cache pages; proxy_ignore_headers Vary;",
        "",
        &format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}"),
    );
    let http = Http::new();
    let cookie = |owner: &str| {
        let session = testing::session(&layer);
        session.login(owner).expect("short");
        let cookie = testing::cookie(&layer, &session).expect("a cookie");
        cookie.to_str().expect("ASCII").to_owned()
    };
    let (ada, bob) = (cookie("ada"), cookie("bob"));
    let ask = async |path: &str, n: usize, cookie: &str| {
        let url = format!("http://127.0.0.1:{}/{path}/{n}", cache.port);
        http.send(Method::GET, &url, cookie, String::new()).await.1
    };
    for (n, said) in STORED.iter().enumerate() {
        let first = ask("number", n, &ada).await;
        assert_eq!(ask("number", n, &bob).await, first, "{said} is stored");
        assert_eq!(ask("owner", n, &ada).await, "ada");
        let shared = SHARED.contains(said);
        let bob = ask("owner", n, &bob).await;
        assert_eq!(bob, if shared { "ada" } else { "bob" }, "{said}");
    }
}
