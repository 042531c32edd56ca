//! Logout and `delete_owner` are final for sessions in a store.

use std::sync::{Arc, Mutex};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tower_sealed_session::store::{StoreError, StoreKey};

use super::{Cookies, Instance, Place, Round, app, builders, rounds, yield_randomly};
use crate::{
    stores::backend::{Backend, Call, Intercept, Wrapped, built, on_every_store},
    support::layer as in_cookies,
};

on_every_store! {
    ended_session_never_comes_back;
}

/// Yields a random number of times before and after each call, so that every order can occur.
#[derive(Clone)]
struct RandomDelays(Arc<Mutex<StdRng>>);

impl Intercept for RandomDelays {
    async fn intercept<T: Send>(
        &self,
        _: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        yield_randomly(&self.0).await;
        let answer = operation.await;
        yield_randomly(&self.0).await;
        answer
    }
}

async fn ended_session_never_comes_back(backend: Backend) {
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(0)));
    let from_cookies = app(in_cookies(), &rng);
    let mut instances = Vec::new();
    for builder in builders() {
        let store = Wrapped(backend.open().await, RandomDelays(rng.clone()));
        instances.push(Instance::new(built(builder).store(store), &rng));
    }
    let rounds = rounds(200);
    let (mut logged_in_again, mut checked) = (0, 0);
    for number in 0..rounds {
        *rng.lock().expect("no panic") = StdRng::seed_from_u64(number);
        let mut plan = StdRng::seed_from_u64(1_000_000 + number);
        // some start with the state in the cookie, which then moves to the store
        let (place, beginning) = match plan.random_ratio(1, 3) {
            true => (Place::Moving, &from_cookies),
            false => (Place::Store, &instances[0].app),
        };
        let round = Round::new(number, place, "ada", &mut plan);
        let first = round.begin(beginning).await;
        let Cookies { seen, ended, .. } = round.run(&first, &instances, &rng).await;
        if ended.is_empty() {
            continue;
        }
        checked += 1;
        for (copy, login) in &seen {
            let has_ended = ended.contains(login);
            for instance in &instances {
                let seen = instance.sees(copy).await;
                let is_empty = seen.canary.is_empty() && seen.owner.is_empty();
                assert!(
                    !has_ended || is_empty,
                    "round {number}: a cookie of login {login} has {} of {:?}",
                    seen.canary,
                    seen.owner
                );
                logged_in_again += usize::from(seen.owner == "ada");
            }
        }
    }
    assert!(checked > rounds * 7 / 10, "{checked}");
    // a login after the end is a session of its own
    assert!(logged_in_again > 0, "no round has a login after the end");
}
