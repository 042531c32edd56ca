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

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "stores postgres URL ROUNDS SLICE_MS SESSIONS PINGS
stores redis URL ROUNDS SLICE_MS SESSIONS CONNECTIONS";

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [kind, url, numbers @ ..] = &args[..] else {
        return Err(USAGE.into());
    };
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
