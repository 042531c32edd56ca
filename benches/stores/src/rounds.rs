//! The contestants take turns in short slices, so that other load on the machine affects both.

use std::time::Duration;

use crate::{
    Result,
    client::Client,
    contestant::Contestant,
    load::{Load, load},
};

/// The numbers of clients that send requests at the same time.
const LEVELS: [usize; 3] = [1, 8, 64];

const REQUESTS: [(&str, &str); 2] = [("read", "/read"), ("write", "/write")];

/// What was measured with one number of clients and one kind of request.
pub struct Cell {
    pub clients: usize,
    pub request: &'static str,
    /// For each contestant, the loads of all rounds.
    pub loads: [Vec<Load>; 2],
}

/// Prints one line per slice: `round clients request number contestant requests_per_second failed`.
pub async fn measure(
    contestants: &[Contestant; 2],
    rounds: u64,
    slice: Duration,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for clients in LEVELS {
        let mut visitors = [const { Vec::new() }; 2];
        for (visitors, contestant) in visitors.iter_mut().zip(contestants) {
            for user in 0..clients {
                let mut visitor = Client::connect(contestant).await?;
                visitor.log_in(user as u64).await?;
                visitor.check().await?;
                visitors.push(visitor);
            }
        }
        for (request, path) in REQUESTS {
            let mut cell = Cell {
                clients,
                request,
                loads: Default::default(),
            };
            for round in 0..=rounds {
                // the contestants take turns at being first
                for place in 0..2 {
                    let at = (round as usize + place) % 2;
                    let contestant = &contestants[at];
                    let load = load(&mut visitors[at], path, slice).await?;
                    // the first round warms up
                    if round > 0 {
                        println!(
                            "round\t{clients}\t{request}\t{round}\t{}\t{:.1}\t{}",
                            contestant.name, load.rate, load.failed
                        );
                        cell.loads[at].push(load);
                    }
                }
            }
            cells.push(cell);
        }
    }
    Ok(cells)
}
