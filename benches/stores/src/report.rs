//! The results, as lines and as tables in Markdown.

use std::time::Duration;

use crate::{contestant::Contestant, load::Load, rounds::Cell};

/// What the rounds of one contestant show.
struct Summary {
    /// The median of the rounds.
    rate: f64,
    p50: Duration,
    p99: Duration,
    failed: usize,
}

/// Prints `cell clients request contestant requests_per_second p50_ms p99_ms failed` and
/// `ratio clients request ratio`, and then the tables.
pub fn print_table(contestants: &[Contestant; 2], cells: &[Cell], sizes: &[f64; 2]) {
    let mut rows = Vec::new();
    for cell in cells {
        let start = format!("{}\t{}", cell.clients, cell.request);
        let mut row = vec![cell.clients.to_string(), cell.request.to_owned()];
        for (contestant, loads) in contestants.iter().zip(&cell.loads) {
            let found = summary(loads);
            let rate = format!("{:.0}", found.rate);
            let [p50, p99] = [found.p50, found.p99].map(millis);
            let (name, failed) = (contestant.name, found.failed);
            println!("cell\t{start}\t{name}\t{rate}\t{p50}\t{p99}\t{failed}");
            // the times are those of the requests that succeeded
            let note = match failed {
                0 => String::new(),
                _ => format!(" ({failed} failed)"),
            };
            row.extend([rate + &note, p50, p99]);
        }
        let ratio = format!("{:.2}", ratio(cell));
        println!("ratio\t{start}\t{ratio}");
        row.push(ratio);
        rows.push(row);
    }
    let [ours, peer] = contestants.each_ref().map(|contestant| contestant.name);
    println!();
    println!(
        "| clients | request | {ours}: requests/s | p50, ms | p99, ms \
         | {peer}: requests/s | p50, ms | p99, ms | ratio of requests/s |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
    println!("| | {ours} | {peer} | ratio |");
    println!("| --- | ---: | ---: | ---: |");
    let [ours, peer] = sizes;
    println!(
        "| bytes per session at rest | {ours:.0} | {peer:.0} | {:.2} |",
        ours / peer
    );
}

/// The median of the rounds' ratios, of this crate's requests per second divided by the peer's.
fn ratio(cell: &Cell) -> f64 {
    let [ours, peer] = &cell.loads;
    median(
        ours.iter()
            .zip(peer)
            .map(|(ours, peer)| ours.rate / peer.rate),
    )
}

fn summary(loads: &[Load]) -> Summary {
    let mut times: Vec<_> = loads.iter().flat_map(|load| &load.times).copied().collect();
    times.sort_unstable();
    let percentile = |percent: usize| {
        let at = times.len() * percent / 100;
        times.get(at).copied().unwrap_or_default()
    };
    Summary {
        rate: median(loads.iter().map(|load| load.rate)),
        p50: percentile(50),
        p99: percentile(99),
        failed: loads.iter().map(|load| load.failed).sum(),
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let (low, high) = (numbers.len().saturating_sub(1) / 2, numbers.len() / 2);
    match (numbers.get(low), numbers.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
