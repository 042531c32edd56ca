//! An HTTP client for servers in separate processes.

use axum::body::Bytes;
use http::{Method, Request, header::COOKIE};
#[cfg(feature = "store")]
use http::{header::LOCATION, request::Builder};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower_cookies::Cookie;

/// A client with persistent connections.
#[derive(Clone)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        // head and body are two writes; without this, the second waits for an acknowledgement
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a request. Returns the status, the body and the cookies that the response sets.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        cookies: &str,
        body: String,
    ) -> (u16, String, Vec<Cookie<'static>>) {
        let mut request = Request::builder().method(method).uri(url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        self.answer(request.body(Full::from(body)).expect("a request"))
            .await
    }

    /// Sends a form.
    #[cfg(feature = "store")]
    pub(crate) async fn send_form(
        &self,
        url: &str,
        cookies: &str,
        form: &str,
    ) -> (u16, String, Vec<Cookie<'static>>) {
        let request = Request::post(url)
            .header(COOKIE, cookies)
            .header("content-type", "application/x-www-form-urlencoded");
        let form = Full::from(form.to_owned());
        self.answer(request.body(form).expect("a request")).await
    }

    /// Sends a request with headers. Returns the status, and the page to which the response leads.
    #[cfg(feature = "store")]
    #[allow(dead_code, reason = "tests of several stores use it")]
    pub(crate) async fn leads_to(&self, request: Builder, body: &str) -> (u16, Option<String>) {
        let request = request.body(Full::from(body.to_owned()));
        let response = self.0.request(request.expect("a request")).await;
        let (head, _) = response.expect("it answers").into_parts();
        let page = head.headers.get(LOCATION);
        let page = page.map(|page| page.to_str().expect("ASCII").to_owned());
        (head.status.as_u16(), page)
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> (u16, String, Vec<Cookie<'static>>) {
        let response = self.0.request(request).await.expect("it answers");
        let (head, body) = response.into_parts();
        let lines = head.headers.get_all("set-cookie").into_iter();
        let cookies = lines.map(|line| {
            let line = line.to_str().expect("ASCII").to_owned();
            Cookie::parse(line).expect("a cookie")
        });
        let cookies = cookies.collect();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.into()).expect("UTF-8");
        (head.status.as_u16(), body, cookies)
    }

    /// The status, or `None` if there is no response.
    #[cfg(feature = "store")]
    pub(crate) async fn try_send(&self, method: Method, url: &str, cookies: &str) -> Option<u16> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(COOKIE, cookies);
        let request = request.body(Full::default()).expect("a request");
        let response = self.0.request(request).await.ok()?;
        Some(response.status().as_u16())
    }
}
