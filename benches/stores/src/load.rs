//! Requests of many clients at the same time.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::{Result, client::Client, contestant::Contestant};

/// The requests of some clients in one slice of time.
#[derive(Default)]
pub struct Load {
    /// Requests per second that succeeded.
    pub rate: f64,
    /// The time of each request that succeeded.
    pub times: Vec<Duration>,
    pub failed: usize,
}

/// Each client sends one request after the other until the slice ends.
pub async fn load(clients: &mut Vec<Client>, path: &'static str, slice: Duration) -> Result<Load> {
    let start = Instant::now();
    let mut tasks: JoinSet<Result<_>> = JoinSet::new();
    for mut client in clients.drain(..) {
        tasks.spawn(async move {
            let (mut times, mut failed) = (Vec::new(), 0);
            while start.elapsed() < slice {
                let begin = Instant::now();
                let (status, _) = client.get(path).await?;
                let time = begin.elapsed();
                if status == StatusCode::OK {
                    times.push(time);
                } else {
                    eprintln!("{path}: {status} after {} ms", time.as_millis());
                    failed += 1;
                }
            }
            Ok((client, times, failed))
        });
    }
    let mut load = Load::default();
    while let Some(done) = tasks.join_next().await {
        let (client, times, failed) = done??;
        clients.push(client);
        load.times.extend(times);
        load.failed += failed;
    }
    load.rate = load.times.len() as f64 / start.elapsed().as_secs_f64();
    Ok(load)
}

/// Creates that many sessions, with some clients at the same time.
pub async fn fill(contestant: &Contestant, sessions: u64) -> Result<()> {
    const CLIENTS: u64 = 64;
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for first in 0..CLIENTS {
        let mut client = Client::new(contestant).await?;
        tasks.spawn(async move {
            for user in (first..sessions).step_by(CLIENTS as usize) {
                client.begin(user).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
