//! Redis Cluster: each command goes to the node that has its key.
//!
//! Each node has its own connection, watched by its own task, as that of a single server. So a node
//! that does not answer delays only the calls for its own keys. Another task asks the nodes which of
//! them has which slots, when one says that a slot moved, and while one cannot be reached.

mod map;
mod slot;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use redis::{RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{sleep, timeout},
};

use self::{
    map::{Map, Node, Range, addresses, ranges, redirected},
    slot::slot_of,
};
use super::{
    check,
    command::Command,
    dial::{Address, Dialer},
    fault,
};
use crate::store::{
    error::{StoreError, StoreErrorKind},
    link::{Link, Verdict},
};

/// How many nodes a command goes to at most, if each says that another one has its slot.
const HOPS: usize = 4;

/// How often the task looks whether all nodes can be reached.
const WATCH: Duration = Duration::from_millis(500);

/// The pause before the nodes are asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a node may take to answer the task.
const PATIENCE: Duration = Duration::from_millis(250);

/// The connections to the nodes, and the task. Dropping this ends the task.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    /// Connects to the hosts of the URL.
    seeds: Dialer,
    map: RwLock<Arc<Map>>,
    /// Wakes the task.
    outdated: Notify,
}

/// What a node answers if it does not have the slot of a key.
enum Redirection {
    /// Another node has it.
    Moved(Address),
    /// It is moving to another node, which may have the key.
    Ask(Address),
}

impl Cluster {
    /// Learns the nodes from one of them, connects to all, and checks them. Must be called within a
    /// Tokio runtime.
    pub(super) async fn start(
        seeds: Dialer,
        mut seed: MultiplexedConnection,
        address: Address,
    ) -> Result<Self, StoreError> {
        check::can_follow_slots(&mut seed).await?;
        let ranges = slots(&mut seed, &address).await?;
        let mut nodes = Vec::new();
        for address in addresses(&ranges) {
            let mut dialer = seeds.node(&address);
            let (mut connection, _) = dialer.first().await?;
            check::suitable(&mut connection).await?;
            let link = Link::new(dialer, connection);
            nodes.push(Arc::new(Node { address, link }));
        }
        let shared = Arc::new(Shared {
            seeds,
            map: RwLock::new(Arc::new(Map::new(ranges, nodes))),
            outdated: Notify::new(),
        });
        let task = tokio::spawn(follow(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, task })
    }

    /// Sends a command to the node that has its key. A node that redirects it did not run it.
    pub(super) async fn send(&self, key: &str, command: &Command) -> Result<Value, StoreError> {
        let shared = &self.shared;
        let mut node = shared.noting(shared.map().node_of(slot_of(key)))?;
        let mut asking = false;
        for _ in 0..HOPS {
            let error = match shared.exchange(&node, command, asking).await? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let address = match Redirection::of(&error, &node.address) {
                Some(Redirection::Moved(to)) => {
                    shared.outdated.notify_one();
                    asking = false;
                    to
                }
                Some(Redirection::Ask(to)) => {
                    asking = true;
                    to
                }
                None => return shared.noting(Err(fault::translate(error))),
            };
            node = shared.node(&address);
        }
        Err(StoreError::new(StoreErrorKind::Unreachable)
            .message("the nodes of the redis cluster do not agree which of them has a slot"))
    }

    /// The names of the nodes, in the order of texts, in which a scan goes from one to the next.
    pub(super) fn names(&self) -> Vec<String> {
        let map = self.shared.map();
        let mut names: Vec<_> = map.nodes.iter().map(|node| node.name()).collect();
        // the nodes are in the order of their addresses: 10.0.0.1:6379 comes before 10.0.0.10:6379
        names.sort_unstable();
        names
    }

    /// Sends a command to the node of that name.
    pub(super) async fn send_to(&self, name: &str, command: &Command) -> Result<Value, StoreError> {
        let map = self.shared.map();
        let node = map.nodes.iter().find(|node| node.name() == name);
        let node = node.ok_or_else(|| {
            StoreError::new(StoreErrorKind::Unreachable)
                .message("a node of the redis cluster is gone: start again")
        })?;
        let answer = self.shared.exchange(node, command, false).await?;
        answer.map_err(fault::translate)
    }

    pub(super) fn is_up(&self) -> bool {
        self.shared.map().is_up()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_map(&self, map: Map) {
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }

    /// The node at an address. One that is not in the map, since a slot moved to it just now, joins
    /// the map.
    fn node(&self, address: &Address) -> Arc<Node> {
        if let Some(node) = self.map().node(address) {
            return node;
        }
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.node(address).unwrap_or_else(|| {
            let node = self.open(address);
            *map = Arc::new(map.with(Arc::clone(&node)));
            node
        })
    }

    fn open(&self, address: &Address) -> Arc<Node> {
        Arc::new(Node {
            address: address.clone(),
            link: Link::begin(self.seeds.node(address)),
        })
    }

    /// One call to one node. The outer error: there is no connection to it.
    async fn exchange(
        &self,
        node: &Node,
        command: &Command,
        asking: bool,
    ) -> Result<Result<Value, RedisError>, StoreError> {
        let (mut connection, mut watch) = self.noting(node.link.call().await)?;
        let answer = match asking {
            false => command.send(&mut connection).await,
            true => command.send_asking(&mut connection).await,
        };
        // that the cluster is down is not a fault of this node
        watch.end(fault::verdict(&answer, |error| {
            fault::is_lost(error) && error.kind() != ServerErrorKind::ClusterDown.into()
        }));
        Ok(answer)
    }

    /// Wakes the task if a node cannot be reached.
    fn noting<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        answer.inspect_err(|error| {
            if error.is_lost() {
                self.outdated.notify_one();
            }
        })
    }

    /// Asks the nodes for their slots, beginning with another one each time.
    async fn learn(&self, turn: usize) -> Result<Vec<Range>, StoreError> {
        let map = self.map();
        let nodes = map.nodes.iter().cycle().skip(turn % map.nodes.len().max(1));
        for node in nodes.take(map.nodes.len()).filter(|node| node.link.is_up()) {
            let asked = async {
                let (mut connection, mut watch) = node.link.call().await?;
                let ranges = slots(&mut connection, &node.address).await?;
                watch.end(Verdict::Answered);
                Ok::<_, StoreError>(ranges)
            };
            if let Ok(Ok(ranges)) = timeout(PATIENCE, asked).await {
                return Ok(ranges);
            }
        }
        // all nodes may have got other addresses
        let (mut seed, address) = self.seeds.again().await?;
        slots(&mut seed, &address).await
    }
}

impl Redirection {
    fn of(error: &RedisError, asked: &Address) -> Option<Self> {
        let (to, _) = error.redirect_node()?;
        let to = redirected(to, asked)?;
        Some(match error.kind() == ServerErrorKind::Ask.into() {
            true => Self::Ask(to),
            false => Self::Moved(to),
        })
    }
}

/// Keeps the map up to date.
async fn follow(shared: Arc<Shared>) {
    let mut turn = 0;
    loop {
        let woken = timeout(WATCH, shared.outdated.notified()).await.is_ok();
        if !woken && shared.map().is_up() {
            continue;
        }
        // until a map is found whose nodes can all be reached
        loop {
            turn += 1;
            if let Ok(ranges) = shared.learn(turn).await {
                let old = shared.map();
                let addresses = addresses(&ranges).into_iter();
                let nodes = addresses
                    .map(|address| old.node(&address).unwrap_or_else(|| shared.open(&address)));
                shared.set_map(Map::new(ranges, nodes.collect()));
            }
            sleep(PAUSE).await;
            if shared.map().is_up() {
                break;
            }
        }
    }
}

/// Asks a node for the slots of all nodes.
async fn slots(
    connection: &mut MultiplexedConnection,
    address: &Address,
) -> Result<Vec<Range>, StoreError> {
    let mut ask = redis::cmd("CLUSTER");
    let answer = ask.arg("SLOTS").query_async(connection).await;
    ranges(check::allowed("CLUSTER SLOTS", answer)?, address)
}
