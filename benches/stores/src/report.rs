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
/// `ratio clients request contestant ratio`, and then the tables. The contestants are this crate,
/// the peer, and others. A ratio is that of this crate to the contestant.
pub fn print_tables(contestants: &[Contestant], cells: &[Cell], sizes: &[f64]) {
    let names: Vec<_> = contestants
        .iter()
        .map(|contestant| contestant.name)
        .collect();
    let (mut against_peer, mut against_others) = (Vec::new(), Vec::new());
    for cell in cells {
        let start = format!("{}\t{}", cell.clients, cell.request);
        let mut row = vec![cell.clients.to_string(), cell.request.to_owned()];
        let mut others = row.clone();
        for (at, name) in names.iter().enumerate() {
            let found = summary(&cell.loads[at]);
            let rate = format!("{:.0}", found.rate);
            let [p50, p99] = [found.p50, found.p99].map(millis);
            let failed = found.failed;
            println!("cell\t{start}\t{name}\t{rate}\t{p50}\t{p99}\t{failed}");
            // the times are those of the requests that succeeded
            let note = match failed {
                0 => String::new(),
                _ => format!(" ({failed} failed)"),
            };
            let row = if at < 2 { &mut row } else { &mut others };
            row.extend([rate + &note, p50, p99]);
            if at > 0 {
                let ratio = format!("{:.2}", ratio(&cell.loads[0], &cell.loads[at]));
                println!("ratio\t{start}\t{name}\t{ratio}");
                row.push(ratio);
            }
        }
        against_peer.push(row);
        against_others.push(others);
    }

    let ours = names[0];
    let figures = |name| format!("{name}: requests/s | p50, ms | p99, ms");
    let versus = |name| format!("{} | ratio of requests/s", figures(name));
    let print_cells = |columns: &[_], rows: &[_]| {
        print_table("| clients | request", "| ---: | ---", columns, rows)
    };
    print_cells(&[figures(ours), versus(names[1])], &against_peer);
    if names.len() > 2 {
        let columns: Vec<_> = names[2..].iter().copied().map(versus).collect();
        print_cells(&columns, &against_others);
    }
    let mut columns: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    columns.insert(2, "ratio".to_owned());
    let mut row = vec!["bytes per session at rest".to_owned()];
    row.extend(sizes.iter().map(|size| format!("{size:.0}")));
    row.insert(3, format!("{:.2}", sizes[0] / sizes[1]));
    print_table("|", "| ---", &columns, &[row]);
}

/// The first columns are given with their alignment. The others are numbers.
fn print_table(first: &str, alignment: &str, columns: &[String], rows: &[Vec<String>]) {
    let columns = columns.join(" | ");
    let numbers = " | ---:".repeat(columns.matches(" | ").count() + 1);
    println!("\n{first} | {columns} |\n{alignment}{numbers} |");
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// The median of the rounds' ratios: the requests per second of one contestant divided by the
/// other's.
fn ratio(one: &[Load], other: &[Load]) -> f64 {
    let rounds = one.iter().zip(other);
    median(rounds.map(|(one, other)| one.rate / other.rate))
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
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}
