//! What the tests themselves ask a Redis server.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use redis::{Cmd, FromRedisValue, cmd};

/// Sends one command to the server at a URL, over a connection of its own.
pub(crate) async fn run<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    let client = redis::Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a server");
    command.query_async(&mut connection).await.expect("done")
}

/// Waits until a replica has all that its primary has now. (`WAIT` waits only for what was written
/// over the same connection.)
pub(crate) async fn catches_up(replica: &str, primary: &str) {
    let written = replication(primary, "master_repl_offset").await;
    wait_until(async || {
        replication(replica, "master_link_status").await == "up"
            && number(&replication(replica, "slave_repl_offset").await) >= number(&written)
    })
    .await;
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// A value in `INFO replication`. It is empty if there is none of that name.
pub(crate) async fn replication(url: &str, name: &str) -> String {
    let info: String = run(url, cmd("INFO").arg("replication")).await;
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|line| line.0 == name);
    found.map_or_else(String::new, |line| line.1.to_owned())
}

/// Asks again until the answer is yes.
pub(crate) async fn wait_until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A number that the server at a URL tells to `redis-cli`.
pub(crate) fn info(url: &str, field: &str) -> u64 {
    let output = Command::new("redis-cli").args(["-u", url, "INFO"]).output();
    let output = output.unwrap_or_else(|error| {
        panic!("redis-cli ({error}): install it by `apt-get install -y redis-server`")
    });
    let info = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|line| line.0 == field);
    number(found.unwrap_or_else(|| panic!("no {field}: {info}")).1)
}
