//! Measures sessions in one server: this crate and tower-sessions. `../run` starts the server and
//! calls this.

mod client;
mod contestant;
mod floor;
mod load;
mod ours;
mod peer;
mod postgres;
mod redis;
mod report;
mod rounds;

use std::{error::Error, time::Duration};

use tokio::task::JoinSet;

use crate::client::Client;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "stores postgres URL ROUNDS SLICE_MS SESSIONS PINGS, \
    or stores redis URL ROUNDS SLICE_MS SESSIONS CONNECTIONS, \
    or stores redis-only URL CONTESTANT PATH REQUESTS CLIENTS CONNECTIONS";

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [kind, url, numbers @ ..] = &args[..] else {
        return Err(USAGE.into());
    };
    if let ("redis-only", [name, path, numbers @ ..]) = (kind.as_str(), numbers) {
        return only(url, name, path, numbers).await;
    }
    let numbers: Result<Vec<u64>, _> = numbers.iter().map(|number| number.parse()).collect();
    let &[rounds, slice_ms, sessions, setting] = &numbers?[..] else {
        return Err(USAGE.into());
    };

    let (contestants, sizes) = match kind.as_str() {
        "postgres" => {
            let contestants = postgres::start(url, setting != 0).await?;
            postgres::print_settings(url).await?;
            let sizes = postgres::sizes(url, &contestants, sessions).await?;
            (contestants, sizes)
        }
        "redis" => {
            let contestants = redis::start(url, setting as usize).await?;
            redis::print_settings(url).await?;
            let sizes = redis::sizes(url, &contestants, sessions).await?;
            (contestants, sizes)
        }
        _ => return Err(USAGE.into()),
    };
    let slice = Duration::from_millis(slice_ms);
    let cells = rounds::measure(&contestants, rounds, slice).await?;
    report::print_tables(&contestants, &cells, &sizes);
    Ok(())
}

/// Sends requests to one contestant, for profilers.
async fn only(url: &str, name: &str, path: &str, numbers: &[String]) -> Result<()> {
    let numbers: Result<Vec<u64>, _> = numbers.iter().map(|number| number.parse()).collect();
    let &[requests, clients, connections] = &numbers?[..] else {
        return Err(USAGE.into());
    };
    let contestants = redis::start(url, connections as usize).await?;
    let mut named = contestants.iter().filter(|found| found.name == name);
    let contestant = named.next().ok_or("no such contestant")?;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for user in 0..clients {
        let mut client = Client::new(contestant).await?;
        client.begin(user).await?;
        client.check().await?;
        let path = path.to_owned();
        tasks.spawn(async move {
            for _ in 0..requests / clients {
                client.get(&path).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
