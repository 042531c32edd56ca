//! Slices on request, so that two programs can take turns.

use std::{collections::HashMap, error::Error, io::stdin, time::Duration};

use contest::contestants::Visitor;

use crate::{recorder, rounds::time, visitor};

const SLICE: Duration = Duration::from_millis(4);

/// For each line `contestant\tvisit\tsize`, prints the nanoseconds per request of one slice.
pub async fn answer() -> Result<(), Box<dyn Error>> {
    let empty = recorder::install()?;
    let mut visitors = HashMap::<String, Visitor>::new();
    for line in stdin().lines() {
        let line = line?;
        if !visitors.contains_key(&line) {
            let [name, visit, size] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("not `contestant visit size`: {line}").into());
            };
            visitors.insert(line.clone(), visitor(name, visit, size).await?);
        }
        println!("{:.1}", time(&visitors[&line], SLICE).await);
        empty();
    }
    Ok(())
}
