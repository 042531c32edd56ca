//! Measures sessions in one PostgreSQL server: this crate and tower-sessions. `../run` starts the
//! server and calls this.

mod client;
mod contestant;
mod load;
mod ours;
mod peer;
mod report;
mod rounds;
mod size;

use std::{error::Error, time::Duration};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "stores URL [ROUNDS [SLICE_MS [SESSIONS [PINGS]]]]";

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or(USAGE)?;
    let mut number = |otherwise| args.next().map_or(Ok(otherwise), |text| text.parse());
    let (rounds, slice_ms, sessions) = (number(7)?, number(1000)?, number(20_000)?);

    let pings = number(1)? != 0;
    let contestants = [ours::start(&url).await?, peer::start(&url, pings).await?];
    size::print_settings(&url).await?;
    let sizes = size::measure(&url, &contestants, sessions).await?;
    let slice = Duration::from_millis(slice_ms);
    let cells = rounds::measure(&contestants, rounds, slice).await?;
    report::print_table(&contestants, &cells, &sizes);
    Ok(())
}
