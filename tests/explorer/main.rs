//! All orders in which the store calls of a few requests can be applied.
//!
//! Each call to the store waits until the search answers it. The search tries every order, and
//! optionally one fault at each point. After each run, every cookie that was ever set is opened.

mod gate;
mod oracle;
mod requests;
mod scenario;
mod search;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{
    oracle::examine,
    requests::Kind,
    scenario::{Cookie, Instances, Scenario},
    search::{Path, run},
};

/// After so many scenarios that fail, the others are not tried.
const ENOUGH: usize = 8;

/// Explores the scenarios on all processors. Returns the number of runs.
fn explore(name: &str, scenarios: &[Scenario], faults: usize) -> usize {
    let begin = Instant::now();
    let (next, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    let work = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Relaxed)) {
            let (count, failure) = runtime.block_on(explore_one(scenario, faults));
            runs.fetch_add(count, Relaxed);
            let mut failures = failures.lock().expect("no panic");
            failures.extend(failure);
            if failures.len() >= ENOUGH {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (scenarios, runs, took) = (scenarios.len(), runs.into_inner(), begin.elapsed());
    eprintln!(
        "{name}: {scenarios} scenarios, {runs} runs, {:.1} s",
        took.as_secs_f32()
    );
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
    runs
}

/// Returns the number of runs, and the shortest one that fails.
async fn explore_one(scenario: &Scenario, faults: usize) -> (usize, Option<String>) {
    let mut world = scenario.world().await;
    let mut path = Path::default();
    let (mut runs, mut failed) = (0, 0);
    let mut shortest: Option<(usize, String)> = None;
    loop {
        if let (Cookie::Revocable, 1..) = (scenario.cookie, runs) {
            // instances remember the entries of the run before
            world = scenario.world().await;
        }
        if let Some(run) = run(scenario, &world, &mut path, faults).await {
            runs += 1;
            if let Some(finding) = examine(scenario, &world, &run).await {
                failed += 1;
                let steps = run.steps.len();
                if shortest.as_ref().is_none_or(|(least, _)| steps < *least) {
                    shortest = Some((steps, format!("{finding}\n{run}")));
                }
            }
        }
        if !path.advance() {
            break;
        }
    }
    let failure = shortest.map(|(_, text)| format!("{scenario}: {failed} of {runs} runs: {text}"));
    (runs, failure)
}

#[test]
fn pairs_in_every_order() {
    assert!(explore("pairs", &Scenario::pairs(), 0) > 1000);
}

#[test]
fn pairs_with_one_fault() {
    assert!(explore("pairs with a fault", &Scenario::pairs(), 1) > 10_000);
}

#[test]
fn moves_between_stores_in_every_order() {
    assert!(explore("moves", &Scenario::moves(false), 0) > 1000);
}

#[test]
fn moves_between_stores_with_one_fault() {
    assert!(explore("moves with a fault", &Scenario::moves(true), 1) > 10_000);
}

#[test]
fn old_ids_in_every_order() {
    assert!(explore("old ids", &Scenario::old_ids(), 0) > 1000);
}

#[test]
#[ignore = "`.ci/nightly explorer` runs it: it takes minutes"]
fn old_ids_with_one_fault() {
    let mut scenarios = Scenario::old_ids();
    // a request with an old id makes more calls than others, so these have the most runs
    let reads = |it: &Scenario| it.browsers.iter().any(|kinds| kinds.contains(&Kind::Read));
    scenarios.retain(|it| matches!(it.instances, Instances::One) && reads(it));
    assert!(explore("old ids with a fault", &scenarios, 1) > 100_000);
}

#[test]
fn revocable_cookies_in_every_order() {
    assert!(explore("revocable", &Scenario::revocable_pairs(), 0) > 300);
}

#[test]
fn revocable_cookies_with_one_fault() {
    let name = "revocable with a fault";
    assert!(explore(name, &Scenario::revocable_pairs(), 1) > 1000);
}

#[test]
#[ignore = "`.ci/nightly explorer` runs it: it takes minutes"]
fn triples_of_revocable_cookies() {
    let name = "triples of revocable cookies";
    assert!(explore(name, &Scenario::revocable_triples(), 0) > 100_000);
}

#[test]
#[ignore = "`.ci/nightly explorer` runs it: it takes minutes"]
fn moves_in_a_rolling_deployment_with_a_fault() {
    let name = "moves in a rolling deployment with a fault";
    assert!(explore(name, &Scenario::moves(false), 1) > 10_000);
}

#[test]
#[ignore = "`.ci/nightly explorer` runs it: it takes minutes"]
fn triples_of_tickets() {
    assert!(explore("triples of tickets", &Scenario::triples(), 0) > 10_000);
}

#[test]
#[ignore = "`.ci/nightly explorer` runs it: it takes minutes"]
fn sequences_against_a_request_in_flight() {
    assert!(explore("sequences", &Scenario::sequences(), 0) > 10_000);
}
