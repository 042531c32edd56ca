//! With a log of revocations, the end of a session is final although it is in its cookie.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rand::{SeedableRng as _, rngs::StdRng};
use tower_sealed_session::{Revocations, SessionLayerBuilder};

use super::{Cookies, Instance, Login, Place, Round, builders, rounds};
use crate::stores::{
    backend::{Backend, built, on_every_store},
    redis_client::wait_until,
};

on_every_store! {
    ended_cookie_is_accepted_nowhere;
}

/// So many rounds run at the same time, since all of them wait until the log was read.
const AT_ONCE: u64 = 10;

/// What was found in all rounds.
#[derive(Debug, Default)]
struct Found {
    /// The rounds in which a session ended.
    ended: u64,
    logged_in_again: usize,
    refused_renewals: usize,
}

async fn ended_cookie_is_accepted_nowhere(backend: Backend) {
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(0)));
    let start = async |builder: SessionLayerBuilder| {
        let log = Revocations::sharing(&backend.open().await).await;
        let log = log.expect("a log");
        let layer = built(builder.revocations(log.clone()));
        (Instance::new(layer, &rng), log)
    };
    let (mut instances, mut logs) = (Vec::new(), Vec::new());
    for builder in builders() {
        let (instance, log) = start(builder).await;
        instances.push(instance);
        logs.push(log);
    }
    // how often instances read the log
    let pause = match backend {
        Backend::Memory(_) | Backend::Redis(_) | Backend::Cluster(_) => Duration::from_millis(25),
        _ => Duration::from_millis(250),
    };
    let rounds = rounds(500);
    let mut found = Found::default();
    for first in (0..rounds).step_by(AT_ONCE as usize) {
        *rng.lock().expect("no panic") = StdRng::seed_from_u64(first);
        let batch = (first..rounds.min(first + AT_ONCE)).map(|number| {
            let (instances, rng) = (&instances, &rng);
            async move {
                let mut plan = StdRng::seed_from_u64(2_000_000 + number);
                // an owner whose sessions ended logs in again in a later round
                let owner = format!("ada-{}", number % AT_ONCE);
                let round = Round::new(number, Place::Cookies, &owner, &mut plan);
                let round = match first / AT_ONCE % 4 {
                    0 => round.wait_up_to(pause, &mut plan),
                    _ => round,
                };
                let first = round.begin(&instances[number as usize % 2].app).await;
                let cookies = round.run(&first, instances, rng).await;
                (round, cookies)
            }
        });
        let batch = join_all(batch).await;
        let end = Instant::now();
        // a read that began after the end
        wait_until(async || logs.iter().all(|log| log.staleness() < end.elapsed())).await;
        let [builder, other] = builders();
        let (later, _log) = start(if first % 20 == 0 { builder } else { other }).await;
        for (round, cookies) in &batch {
            let everywhere = instances.iter().chain([&later]);
            found.check(round, cookies, everywhere).await;
        }
    }
    println!("{rounds} rounds: {found:?}");
    assert!(found.ended > rounds * 6 / 10);
    // a login after the end is a session of its own
    assert!(found.logged_in_again > 0 && found.refused_renewals > 0);
}

impl Found {
    async fn check(
        &mut self,
        round: &Round,
        cookies: &Cookies,
        instances: impl Iterator<Item = &Instance> + Clone,
    ) {
        let Cookies { seen, ended, .. } = cookies;
        let mut ids: HashMap<Login, HashSet<String>> = HashMap::new();
        for (copy, login) in seen {
            for instance in instances.clone() {
                let seen = instance.sees(copy).await;
                if ended.contains(login) {
                    let is_empty = seen.canary.is_empty() && seen.owner.is_empty();
                    assert!(is_empty, "{round:?}: a cookie of login {login} is accepted");
                } else if seen.owner == round.owner {
                    ids.entry(*login).or_default().insert(seen.id);
                }
            }
        }
        // a renewal replaces the id, and no other renewal of that id is answered
        let is_unique = ids.values().all(|ids| ids.len() == 1);
        assert!(is_unique, "{round:?}: {ids:?}");
        self.refused_renewals += cookies.refused;
        if !ended.is_empty() {
            self.ended += 1;
            self.logged_in_again += ids.len();
        }
    }
}
