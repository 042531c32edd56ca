//! Where commands go: to one server, to the nodes of a cluster, or to a connection of the app.

use std::sync::Arc;

use redis::{
    RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::{cluster::Cluster, command::Command, fault};
use crate::store::{error::StoreError, link::Link};

#[derive(Clone)]
pub(super) enum Servers {
    One(Arc<Link<MultiplexedConnection>>),
    Cluster(Arc<Cluster>),
    Given(Arc<dyn Given>),
}

/// A connection of the app, of any type.
pub(super) trait Given: Send + Sync {
    fn send<'a>(&'a self, command: &'a Command) -> RedisFuture<'a, Value>;
}

impl Servers {
    /// Sends a command to the server of its key, once.
    pub(super) async fn send(&self, key: &str, command: Command) -> Result<Value, StoreError> {
        match self {
            Self::One(link) => {
                let (mut connection, mut watch) = link.call().await?;
                let answer = command.send(&mut connection).await;
                watch.end(fault::verdict(&answer, fault::is_lost));
                answer.map_err(fault::translate)
            }
            Self::Cluster(cluster) => cluster.send(key, &command).await,
            Self::Given(given) => given.send(&command).await.map_err(fault::translate),
        }
    }

    /// The names of the servers that have keys, in the order of texts.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Cluster(cluster) => cluster.names(),
            Self::One(_) | Self::Given(_) => vec![String::new()],
        }
    }

    /// Sends a command without a key to one server.
    pub(super) async fn send_to(&self, name: &str, command: Command) -> Result<Value, StoreError> {
        match self {
            Self::Cluster(cluster) => cluster.send_to(name, &command).await,
            Self::One(_) | Self::Given(_) => self.send("", command).await,
        }
    }

    /// Whether all servers can be reached, if that is known.
    pub(super) fn is_up(&self) -> Option<bool> {
        match self {
            Self::One(link) => Some(link.is_up()),
            Self::Cluster(cluster) => Some(cluster.is_up()),
            Self::Given(_) => None,
        }
    }
}

impl<C> Given for C
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    fn send<'a>(&'a self, command: &'a Command) -> RedisFuture<'a, Value> {
        Box::pin(async move { command.send_over(&mut self.clone()).await })
    }
}
