//! Contestants take turns in short slices, so that other load on the machine affects all equally.

use std::time::Duration;

use contest::{
    CONTESTANTS,
    contestants::{Size, Visit, Visitor},
};

/// Prints one line per slice: `visit size round contestant nanoseconds`.
pub async fn times(rounds: u64, slice_ms: u64, chosen: impl Fn(Visit, Size) -> bool) {
    let slice = Duration::from_millis(slice_ms);
    for visit in Visit::ALL {
        for size in Size::ALL {
            let counts = visit.has_size() || size == Size::Small;
            if counts && chosen(visit, size) {
                cell(rounds, slice, visit, size).await;
            }
        }
    }
}

async fn cell(rounds: u64, slice: Duration, visit: Visit, size: Size) {
    let mut visitors = Vec::new();
    for contestant in &CONTESTANTS {
        visitors.push(Visitor::new(contestant, visit, size).await);
    }
    for round in 0..=rounds {
        for turn in 0..CONTESTANTS.len() {
            let at = (round as usize + turn) % CONTESTANTS.len();
            if !visit.has_session() {
                // a memory store grows with every new visitor, so start again
                visitors[at] = Visitor::new(&CONTESTANTS[at], visit, size).await;
            }
            let nanoseconds = time(&visitors[at], slice).await;
            // the first round warms up
            if round > 0 {
                let (visit, size, name) = (visit.name(), size.name(), CONTESTANTS[at].name);
                println!("{visit}\t{size}\t{round}\t{name}\t{nanoseconds:.1}");
            }
        }
    }
}

/// Returns nanoseconds per request.
pub async fn time(visitor: &Visitor, slice: Duration) -> f64 {
    let (mut spent, mut count) = (Duration::ZERO, 0);
    while spent < slice {
        spent += visitor.time(64).await;
        count += 64;
    }
    spent.as_nanos() as f64 / count as f64
}
