//! A contestant: an app on its own port of 127.0.0.1. The apps differ only in their sessions.
//!
//! | path | what the handler does |
//! | --- | --- |
//! | `/login/{user}` | logs in, and sets the text and the counter |
//! | `/read` | reads the text, and answers with its length |
//! | `/write` | reads the counter, increments it, and answers with it |

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;

use crate::Result;

/// The maximum number of connections to PostgreSQL. This crate's store has no setting for it.
pub const CONNECTIONS: u32 = 10;

/// The number of bytes of the text in each session.
pub const LENGTH: usize = 512;

pub struct Contestant {
    pub name: &'static str,
    /// The table of its sessions.
    pub table: &'static str,
    pub address: SocketAddr,
}

impl Contestant {
    pub async fn start(name: &'static str, table: &'static str, app: Router) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self {
            name,
            table,
            address,
        })
    }
}

/// The text of a session.
pub fn text() -> String {
    let words = "A text of several words, such as a form that is not sent yet. ";
    words.chars().cycle().take(LENGTH).collect()
}
