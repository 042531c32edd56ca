//! Request lines that no HTTP library sends, to a server that listens.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::layer;

/// The status line and the `Location` of the answer to a request line.
async fn answer(port: u16, line: &[u8]) -> (String, Option<String>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it listens");
    let rest = b"\r\nhost: shop.example\r\nsec-fetch-mode: navigate\r\nconnection: close\r\n\r\n";
    stream
        .write_all(&[line, rest].concat())
        .await
        .expect("it reads");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("it answers");
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines();
    let status = lines.next().unwrap_or_default().to_owned();
    let location = lines.find_map(|line| line.strip_prefix("location: "));
    (status, location.map(str::to_owned))
}

#[tokio::test]
async fn open_redirect_attempts_lead_to_the_login_page_of_this_site() {
    // every path is guarded
    let guarded = axum::Router::new()
        .fallback(async || "secret")
        .layer(tower_sealed_session::require_owner())
        .layer(layer().login_page("/login"));
    let extractor = axum::Router::new()
        .fallback(async |owner: tower_sealed_session::Owner| owner.into_string())
        .layer(layer().login_page("/login"));
    let cases: [(&[u8], Option<&str>); 19] = [
        (b"GET /x HTTP/1.1", Some("/login?next=/x")),
        (b"HEAD /x HTTP/1.1", Some("/login?next=/x")),
        (b"GET //evil.example/ HTTP/1.1", Some("/login")),
        (b"GET //evil.example HTTP/1.1", Some("/login")),
        (b"GET ///evil.example/ HTTP/1.1", Some("/login")),
        (b"GET /\\evil.example HTTP/1.1", Some("/login")),
        (b"GET /x\\..\\\\evil.example HTTP/1.1", Some("/login")),
        (b"GET /..//evil.example HTTP/1.1", Some("/login")),
        (b"GET /%2e%2e//evil.example HTTP/1.1", Some("/login")),
        (
            b"GET /%2F/evil.example HTTP/1.1",
            Some("/login?next=/%252F/evil.example"),
        ),
        // hyper refuses these lines
        (b"GET /x?\"><script> HTTP/1.1", None),
        (b"GET /\xff\xfe HTTP/1.1", None),
        // the path, and never the authority
        (
            b"GET http://evil.example/x HTTP/1.1",
            Some("/login?next=/x"),
        ),
        (b"GET http://evil.example HTTP/1.1", Some("/login?next=/")),
        (
            b"GET http://evil.example//other.example HTTP/1.1",
            Some("/login"),
        ),
        (
            b"GET https://evil.example/x?y HTTP/1.1",
            Some("/login?next=/x%3Fy"),
        ),
        (b"OPTIONS * HTTP/1.1", Some("/login")),
        (b"POST //evil.example HTTP/1.1", Some("/login")),
        (b"CONNECT evil.example:443 HTTP/1.1", Some("/login")),
    ];
    for routes in [guarded, extractor] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        for (line, wanted) in cases {
            let shown = String::from_utf8_lossy(line);
            let (status, location) = answer(port, line).await;
            let wanted_status = match wanted {
                Some(_) => "HTTP/1.1 303 See Other",
                None => "HTTP/1.1 400 Bad Request",
            };
            assert_eq!(
                (&*status, location.as_deref()),
                (wanted_status, wanted),
                "{shown}"
            );
        }
        server.abort();
    }
}
