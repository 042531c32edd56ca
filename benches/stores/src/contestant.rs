//! A contestant: an app, and the way to it. The apps differ only in their sessions.
//!
//! | path | what the handler does |
//! | --- | --- |
//! | `/login/{user}` | logs in, and sets the text and the counter |
//! | `/visit/{user}` | sets the text and the counter, without a login |
//! | `/read` | reads the text, and answers with its length |
//! | `/write` | reads the counter, increments it, and answers with it |

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;

use crate::Result;

/// The number of bytes of the text in each session.
pub const LENGTH: usize = 512;

pub struct Contestant {
    pub name: &'static str,
    /// How its sessions begin.
    pub begin: Begin,
    pub access: Access,
}

#[derive(Clone, Copy)]
pub enum Begin {
    Login,
    Visit,
}

/// How requests come to an app.
#[derive(Clone)]
pub enum Access {
    /// By HTTP, on a port of 127.0.0.1.
    Port(SocketAddr),
    /// By a call of the service.
    Call(Router),
}

impl Access {
    /// Serves the app on a port of its own.
    pub async fn serve(app: Router) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self::Port(address))
    }

    pub fn call(app: Router) -> Self {
        // as axum's server does, so that routes are not converted for each request
        Self::Call(app.with_state(()))
    }
}

impl Begin {
    pub fn path(self, user: u64) -> String {
        match self {
            Self::Login => format!("/login/{user}"),
            Self::Visit => format!("/visit/{user}"),
        }
    }
}

/// The text of a session.
pub fn text() -> String {
    let words = "A text of several words, such as a form that is not sent yet. ";
    words.chars().cycle().take(LENGTH).collect()
}
