//! A client: one connection and one cookie.

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{COOKIE, HOST, SET_COOKIE},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    Result,
    contestant::{Contestant, LENGTH},
};

pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    cookie: Option<String>,
}

impl Client {
    pub async fn connect(contestant: &Contestant) -> Result<Self> {
        let stream = TcpStream::connect(contestant.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            cookie: None,
        })
    }

    /// Begins a new session.
    pub async fn log_in(&mut self, user: u64) -> Result<()> {
        self.cookie = None;
        let (status, _) = self.get(&format!("/login/{user}")).await?;
        match status == StatusCode::OK && self.cookie.is_some() {
            true => Ok(()),
            false => Err(format!("the login failed: {status}").into()),
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
        self.sender.ready().await?;
        let response = self
            .sender
            .send_request(request.body(Empty::new())?)
            .await?;
        if let Some(cookie) = response.headers().get(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next();
            self.cookie = pair.map(str::to_owned);
        }
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
