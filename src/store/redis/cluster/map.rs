//! The nodes of a cluster, and which slots they have.

use std::sync::Arc;

use redis::{Value, aio::MultiplexedConnection};

use super::slot::SLOTS;
use crate::store::{
    error::{StoreError, StoreErrorKind},
    link::Link,
    redis::{command::unexpected, dial::Address},
};

/// A node that has slots, with its connection.
pub(super) struct Node {
    pub(super) address: Address,
    pub(super) link: Link<MultiplexedConnection>,
}

/// A range of slots, both ends included, and the address of its node.
#[derive(Clone)]
pub(super) struct Range {
    first: u16,
    last: u16,
    address: Address,
}

pub(super) struct Map {
    ranges: Vec<Range>,
    /// In the order of their addresses.
    pub(super) nodes: Vec<Arc<Node>>,
}

impl Map {
    /// The nodes are those of [`addresses`].
    pub(super) fn new(mut ranges: Vec<Range>, nodes: Vec<Arc<Node>>) -> Self {
        ranges.sort_by_key(|range| range.first);
        Self { ranges, nodes }
    }

    /// The same map with one more node.
    pub(super) fn with(&self, node: Arc<Node>) -> Self {
        let mut nodes = self.nodes.clone();
        let at = nodes.partition_point(|other| other.address < node.address);
        nodes.insert(at, node);
        Self {
            ranges: self.ranges.clone(),
            nodes,
        }
    }

    /// The node that has a slot.
    pub(super) fn node_of(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        let at = self.ranges.partition_point(|range| range.last < slot);
        let range = self.ranges.get(at).filter(|range| range.first <= slot);
        range
            .and_then(|range| self.node(&range.address))
            .ok_or_else(|| {
                StoreError::new(StoreErrorKind::Unreachable)
                    .message("a slot of the redis cluster has no node")
            })
    }

    pub(super) fn node(&self, address: &Address) -> Option<Arc<Node>> {
        let at = self
            .nodes
            .binary_search_by_key(&address, |node| &node.address);
        at.ok().map(|at| Arc::clone(&self.nodes[at]))
    }

    pub(super) fn is_up(&self) -> bool {
        self.nodes.iter().all(|node| node.link.is_up())
    }
}

impl Node {
    pub(super) fn name(&self) -> String {
        let (host, port) = &self.address;
        format!("{host}:{port}")
    }
}

/// The addresses of the nodes that have these slots, each once, in order.
pub(super) fn addresses(ranges: &[Range]) -> Vec<Address> {
    let mut addresses: Vec<_> = ranges.iter().map(|range| range.address.clone()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The answer to `CLUSTER SLOTS` of the node at `asked`. Fails if no node has slots.
pub(super) fn ranges(reply: Value, asked: &Address) -> Result<Vec<Range>, StoreError> {
    let Value::Array(rows) = reply else {
        return Err(unexpected());
    };
    if rows.is_empty() {
        return Err(StoreError::new(StoreErrorKind::Config).message(
            "no node of the redis cluster has slots: join the nodes by `redis-cli --cluster create`",
        ));
    }
    let ranges: Option<_> = rows.into_iter().map(|row| range(row, asked)).collect();
    ranges.ok_or_else(unexpected)
}

/// `[first slot, last slot, [host, port, …] of the master, [host, port, …] of a replica, …]`
fn range(row: Value, asked: &Address) -> Option<Range> {
    let Value::Array(row) = row else { return None };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = &row[..]
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = &master[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    let slot = |number: i64| u16::try_from(number).ok().filter(|slot| *slot < SLOTS);
    Some(Range {
        first: slot(*first)?,
        last: slot(*last)?,
        address: (known(host, asked), u16::try_from(*port).ok()?),
    })
}

/// The address in a redirection by the node at `asked`, such as `10.0.0.7:6379` or `:6379`.
pub(super) fn redirected(to: &str, asked: &Address) -> Option<Address> {
    let (host, port) = to.rsplit_once(':')?;
    Some((known(host, asked), port.parse().ok()?))
}

/// A node that does not know its own host leaves it out. Then it is the one that was asked.
fn known(host: &str, asked: &Address) -> String {
    match host {
        "" | "?" => asked.0.clone(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Address {
        ("seed".to_owned(), 7000)
    }

    fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), Value::Nil]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    fn host(name: &str) -> Value {
        Value::BulkString(name.into())
    }

    #[test]
    fn slots_are_read_from_the_answer_of_a_node() {
        let reply = Value::Array(vec![
            row(5461, 16383, host("10.0.0.2"), 7001),
            row(0, 5460, Value::Nil, 7000),
        ]);
        let ranges = ranges(reply, &asked()).expect("ranges");
        let found: Vec<_> = ranges
            .iter()
            .map(|range| (range.first, range.last, range.address.clone()))
            .collect();
        assert_eq!(found[0], (5461, 16383, ("10.0.0.2".to_owned(), 7001)));
        assert_eq!(found[1], (0, 5460, asked()));
    }

    #[test]
    fn other_answers_are_errors() {
        for reply in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Int(0)]),
            Value::Array(vec![row(0, 16384, host("h"), 1)]),
            Value::Array(vec![row(0, 5, host("h"), 65536)]),
            Value::Array(vec![row(0, 5, Value::Int(1), 1)]),
        ] {
            assert!(ranges(reply, &asked()).is_err());
        }
    }

    #[test]
    fn redirections_name_an_address() {
        for (to, address) in [
            ("10.0.0.7:6379", Some(("10.0.0.7", 6379))),
            ("2001:db8::7:6379", Some(("2001:db8::7", 6379))),
            (":6379", Some(("seed", 6379))),
            ("?:6379", Some(("seed", 6379))),
            ("10.0.0.7", None),
            ("10.0.0.7:x", None),
        ] {
            let found = redirected(to, &asked());
            let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(found, address, "{to}");
        }
    }
}
