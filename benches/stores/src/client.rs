//! A client: one cookie, and its own connection if there are any.

use axum::{Router, body::Body};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{COOKIE, HOST, HeaderMap, HeaderValue, SET_COOKIE},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::{
    Result,
    contestant::{Access, Begin, Contestant, LENGTH},
};

pub struct Client {
    way: Way,
    begin: Begin,
    cookie: Option<HeaderValue>,
}

enum Way {
    Connection(SendRequest<Empty<Bytes>>),
    Call(Router),
}

impl Client {
    pub async fn new(contestant: &Contestant) -> Result<Self> {
        Ok(Self {
            way: Way::open(&contestant.access).await?,
            begin: contestant.begin,
            cookie: None,
        })
    }

    /// Begins a new session.
    pub async fn begin(&mut self, user: u64) -> Result<()> {
        self.cookie = None;
        let (status, _) = self.get(&self.begin.path(user)).await?;
        match status == StatusCode::OK && self.cookie.is_some() {
            true => Ok(()),
            false => Err(format!("the session did not begin: {status}").into()),
        }
    }

    /// Checks that a session keeps what is written.
    pub async fn check(&mut self) -> Result<()> {
        for (path, expected) in [("/write", 1), ("/write", 2), ("/read", LENGTH)] {
            let (status, body) = self.get(path).await?;
            if status != StatusCode::OK || body != expected.to_string() {
                return Err(format!("{path}: {status} {body:?} instead of {expected}").into());
            }
        }
        Ok(())
    }

    /// Sends a request and reads the whole response. Keeps the cookie, as a browser does.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::get(path).header(HOST, "localhost");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let (status, headers, body) = self.way.send(request.body(())?).await?;
        if let Some(cookie) = headers.get(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            self.cookie = Some(pair.parse()?);
        }
        Ok((status, body))
    }
}

impl Way {
    async fn open(access: &Access) -> Result<Self> {
        let address = match access {
            Access::Port(address) => address,
            Access::Call(app) => return Ok(Self::Call(app.clone())),
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self::Connection(sender))
    }

    async fn send(&mut self, request: Request<()>) -> Result<(StatusCode, HeaderMap, Bytes)> {
        match self {
            Self::Connection(sender) => {
                sender.ready().await?;
                let sent = sender.send_request(request.map(|()| Empty::new()));
                let (head, body) = sent.await?.into_parts();
                Ok((head.status, head.headers, body.collect().await?.to_bytes()))
            }
            Self::Call(app) => {
                let called = app.clone().oneshot(request.map(|()| Body::empty()));
                let (head, body) = called.await?.into_parts();
                Ok((head.status, head.headers, body.collect().await?.to_bytes()))
            }
        }
    }
}
