use redis::{
    Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use super::fault;
use crate::store::{
    error::{StoreError, StoreErrorKind},
    link::{Verdict, Watch},
};

/// A connection that the user supplied, of any type.
pub(super) trait Given: Send + Sync {
    fn open(&self) -> Box<dyn ConnectionLike + Send>;
}

/// The connection for one call.
pub(super) enum Call {
    Watched(MultiplexedConnection, Watch<MultiplexedConnection>),
    Given(Box<dyn ConnectionLike + Send>),
}

impl Call {
    pub(super) fn end(&mut self, reply: RedisResult<Value>) -> Result<Value, StoreError> {
        if let Self::Watched(_, watch) = self {
            watch.end(match &reply {
                Err(error) if fault::is_lost(error) => {
                    Verdict::Lost(fault::translate(error.clone()))
                }
                _ => Verdict::Answered,
            });
        }
        reply.map_err(fault::translate)
    }
}

impl ConnectionLike for Call {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Watched(connection, _) => connection.req_packed_command(cmd),
            Self::Given(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Watched(connection, _) => connection.req_packed_commands(pipeline, offset, count),
            Self::Given(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Watched(connection, _) => connection.get_db(),
            Self::Given(connection) => connection.get_db(),
        }
    }
}

impl<C> Given for C
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    fn open(&self) -> Box<dyn ConnectionLike + Send> {
        Box::new(self.clone())
    }
}

pub(super) fn number(value: Value) -> Result<u64, StoreError> {
    match value {
        Value::Int(number) => u64::try_from(number).map_err(|_| unexpected()),
        _ => Err(unexpected()),
    }
}

pub(super) fn unexpected() -> StoreError {
    let message =
        "unexpected answer from redis: check that the server is redis or valkey, not a proxy";
    StoreError::new(StoreErrorKind::Other).message(message)
}
