//! One command to one server, and its answer.

use redis::{
    Cmd, Pipeline, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value, aio::ConnectionLike,
};

use crate::store::error::{StoreError, StoreErrorKind};

/// A command, or a script that runs by its hash.
pub(super) struct Command {
    cmd: Cmd,
    script: Option<&'static Script>,
}

impl Command {
    /// A command without a key.
    pub(super) fn bare(name: &str) -> Self {
        let cmd = redis::cmd(name);
        Self { cmd, script: None }
    }

    pub(super) fn new(name: &str, key: &str) -> Self {
        Self::bare(name).arg(key)
    }

    pub(super) fn script(script: &'static Script, key: &str) -> Self {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(script.get_hash()).arg(1).arg(key);
        let script = Some(script);
        Self { cmd, script }
    }

    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    /// Sends the command. If the server does not have the script, loads it and sends the command
    /// again, since it had no effect.
    pub(super) async fn send(&self, connection: &mut impl ConnectionLike) -> RedisResult<Value> {
        let sent = self.cmd.query_async(connection).await;
        match self.load_if_missing(&sent, connection).await? {
            true => self.cmd.query_async(connection).await,
            false => sent,
        }
    }

    /// The same, to the node of a cluster that a slot is moving to.
    pub(super) async fn send_asking(
        &self,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<Value> {
        let mut both = Pipeline::with_capacity(2);
        both.cmd("ASKING").add_command(self.cmd.clone());
        let sent = second(connection.req_packed_commands(&both, 0, 2).await);
        match self.load_if_missing(&sent, connection).await? {
            true => second(connection.req_packed_commands(&both, 0, 2).await),
            false => sent,
        }
    }

    async fn load_if_missing(
        &self,
        sent: &RedisResult<Value>,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<bool> {
        let is_missing =
            |error: &redis::RedisError| error.kind() == ServerErrorKind::NoScript.into();
        match self.script {
            Some(script) if sent.as_ref().is_err_and(is_missing) => {
                script.prepare_invoke().load_async(connection).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
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
