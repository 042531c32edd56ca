//! The contestants take turns in short slices, so that other load on the machine affects all.

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
    pub loads: Vec<Vec<Load>>,
}

/// Prints one line per slice: `round clients request number contestant requests_per_second failed`.
pub async fn measure(
    contestants: &[Contestant],
    rounds: u64,
    slice: Duration,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for clients in LEVELS {
        let mut visitors = Vec::new();
        for contestant in contestants {
            let mut of_one = Vec::new();
            for user in 0..clients {
                let mut visitor = Client::new(contestant).await?;
                visitor.begin(user as u64).await?;
                visitor.check().await?;
                of_one.push(visitor);
            }
            visitors.push(of_one);
        }
        for (request, path) in REQUESTS {
            let mut cell = Cell {
                clients,
                request,
                loads: contestants.iter().map(|_| Vec::new()).collect(),
            };
            for round in 0..=rounds {
                // the contestants take turns at being first
                for place in 0..contestants.len() {
                    let at = (round as usize + place) % contestants.len();
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
