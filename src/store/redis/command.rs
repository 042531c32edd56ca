//! One command to one server, and its answer.

use redis::{
    Cmd, Pipeline, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use crate::store::error::{StoreError, StoreErrorKind};

/// A command, or a script that runs by its hash.
pub(super) struct Command {
    cmd: Cmd,
    script: Option<&'static Script>,
}

/// Room for the arguments and bytes of most commands. More than a kilobyte takes longer to allocate.
const ROOM: (usize, usize) = (8, 1000);

impl Command {
    /// A command without a key.
    pub(super) fn bare(name: &str) -> Self {
        let mut cmd = Cmd::with_capacity(ROOM.0, ROOM.1);
        cmd.arg(name);
        Self { cmd, script: None }
    }

    pub(super) fn new(name: &str, key: &str) -> Self {
        Self::bare(name).arg(key)
    }

    /// A script and its keys, which must be in one slot.
    pub(super) fn script(script: &'static Script, keys: &[&str]) -> Self {
        let evalsha = Self::bare("EVALSHA").arg(script.get_hash());
        Self {
            script: Some(script),
            ..evalsha.arg(keys.len()).arg(keys)
        }
    }

    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    /// Sends the command. If the server does not have the script, loads it and sends the command
    /// again, since it had no effect.
    pub(super) async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        // not by its trait, which boxes a large future
        let sent = connection.send_packed_command(&self.cmd).await;
        let sent = sent.and_then(Value::extract_error);
        match self.missing(&sent) {
            Some(script) => Box::pin(self.load_and_send(script, connection)).await,
            None => sent,
        }
    }

    /// The same over a connection of any type.
    pub(super) async fn send_over(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<Value> {
        let sent = self.cmd.query_async(connection).await;
        match self.missing(&sent) {
            Some(script) => self.load_and_send(script, connection).await,
            None => sent,
        }
    }

    /// The same, to the node of a cluster that a slot is moving to.
    pub(super) async fn send_asking(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Value> {
        let mut both = Pipeline::with_capacity(2);
        both.cmd("ASKING").add_command(self.cmd.clone());
        let sent = second(connection.req_packed_commands(&both, 0, 2).await);
        match self.missing(&sent) {
            Some(script) => {
                script.prepare_invoke().load_async(connection).await?;
                second(connection.req_packed_commands(&both, 0, 2).await)
            }
            None => sent,
        }
    }

    /// The script that the server does not have.
    fn missing(&self, sent: &RedisResult<Value>) -> Option<&'static Script> {
        let error = sent.as_ref().err()?;
        let is_missing = error.kind() == ServerErrorKind::NoScript.into();
        self.script.filter(|_| is_missing)
    }

    async fn load_and_send(
        &self,
        script: &Script,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<Value> {
        script.prepare_invoke().load_async(connection).await?;
        self.cmd.query_async(connection).await
    }
}

fn second(values: RedisResult<Vec<Value>>) -> RedisResult<Value> {
    let second = values?.into_iter().nth(1).unwrap_or(Value::Nil);
    second.extract_error()
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
