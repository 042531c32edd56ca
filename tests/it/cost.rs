//! What a session costs a request that does not use it, and how often a cookie is sent.

use axum::{Router, body::Body, http::Request, routing::get};
use tower::{Layer, Service, ServiceExt as _};
use tower_sealed_session::{Error, Session, testing};

use crate::support::{Events, NAME, Visitor, get_with, layer};

/// The floor: a layer that does nothing.
#[derive(Clone)]
struct NoOp<S>(S);

#[derive(Clone)]
struct NoOpLayer;

impl<S> Layer<S> for NoOpLayer {
    type Service = NoOp<S>;

    fn layer(&self, inner: S) -> NoOp<S> {
        NoOp(inner)
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for NoOp<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.call(request)
    }
}

fn routes() -> Router {
    async fn read(session: Session) -> Result<String, Error> {
        Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
    }
    async fn write(session: Session) -> Result<String, Error> {
        let n = session.get::<u64>("n")?.unwrap_or(0) + 1;
        session.insert("n", n)?;
        Ok(n.to_string())
    }
    Router::new()
        .route("/", get(|| async { "1" }))
        .route("/read", get(read))
        .route("/write", get(write))
}

/// How often the second of two equal requests allocates, from routing to the response's drop.
fn allocations(app: &Router, path: &str, cookie: Option<&[u8]>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut count = 0;
    for _ in 0..2 {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        if let Some(cookie) = cookie {
            // as hyper has it: a part of a shared buffer
            let buffer = axum::body::Bytes::copy_from_slice(cookie);
            let _shared = buffer.clone();
            let value = axum::http::HeaderValue::from_maybe_shared(buffer).expect("a value");
            request.headers_mut().insert("cookie", value);
        }
        let app = app.clone();
        let info = allocation_counter::measure(|| {
            drop(runtime.block_on(app.oneshot(request)).expect("infallible"));
        });
        count = info.count_total;
    }
    count
}

#[test]
fn an_untouched_session_costs_at_most_four_allocations_whatever_cookies_came() {
    let floor = routes().layer(NoOpLayer);
    let ours = routes().layer(layer());
    let huge = format!("{NAME}={}", "A".repeat(64 * 1024));
    for cookie in [None, Some(&b"a=1"[..]), Some(huge.as_bytes())] {
        let own = allocations(&ours, "/", cookie) - allocations(&floor, "/", cookie);
        println!(
            "untouched, {} bytes of cookies: {own} allocations",
            cookie.map_or(0, <[u8]>::len)
        );
        assert!(own <= 4, "{own}");
    }
}

/// Not a promise yet, but nothing should creep in unseen.
#[test]
fn reading_and_writing_allocate_little() {
    let layer = layer();
    let session = testing::session(&layer);
    session.insert("n", 1).expect("small");
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    let floor = routes().layer(NoOpLayer);
    let ours = routes().layer(layer);
    let plain = allocations(&floor, "/", Some(cookie.as_bytes()));
    for (path, limit) in [("/read", 5), ("/write", 10)] {
        let own = allocations(&ours, path, Some(cookie.as_bytes())) - plain;
        println!("{path}: {own} allocations more than an untouched request under the floor");
        assert!(own <= limit, "{path}: {own}");
    }
}

#[tokio::test]
async fn an_untouched_session_costs_no_scan_no_decode_and_no_header() {
    let app = routes().layer(layer());
    let events = Events::capture();
    let answer = get_with(&app, "/", &[format!("{NAME}=garbage").as_bytes()]).await;
    assert_eq!(events.drain(), [""; 0], "nobody looked at the cookie");
    for header in ["set-cookie", "vary", "cache-control"] {
        assert!(answer.header(header).is_empty(), "{header}");
    }
}

#[tokio::test]
async fn a_reader_without_a_session_gets_none() {
    async fn ask(session: Session) -> String {
        session.renew();
        session.remember(std::time::Duration::from_secs(60));
        session.clear();
        format!("{} {:?}", session.len(), session.id().is_ok())
    }
    let app = Router::new().route("/", get(ask)).layer(layer());
    let answer = Visitor::default().get(&app, "/").await;
    assert_eq!(answer.body, "0 true");
    assert!(answer.sets_nothing());
}
