//! Logout is final: the session and copies of its cookie stay ended, whatever requests are in
//! flight on any instance.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Path, routing::get};
use futures_util::future::join_all;
use http::StatusCode;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tower_sealed_session::{
    Error, Session,
    store::{Store, StoreError, StoreKey},
};

use super::backend::{Backend, Call, Intercept, Wrapped, layer, on_every_store};
use crate::support::{Visitor, layer as in_cookies};

on_every_store! {
    logged_out_session_never_comes_back;
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

async fn yield_randomly(rng: &Mutex<StdRng>) {
    let steps = rng.lock().expect("no panic").random_range(0..12);
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}

fn app(store: impl Store, rng: &Arc<Mutex<StdRng>>) -> Router {
    let waits = rng.clone();
    let act = async move |session: Session, Path(what): Path<String>| -> Result<String, Error> {
        yield_randomly(&waits).await;
        match what.as_str() {
            "canary" => return Ok(session.get::<String>("canary")?.unwrap_or_default()),
            "who" => return Ok(session.owner().unwrap_or_default()),
            "write" => session.insert("other", 1)?,
            "count" => drop(session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?),
            "renew" => session.renew(),
            "remember" => session.remember(std::time::Duration::from_secs(9999)),
            "login" => session.login("ada")?,
            "kept" => {
                session.insert("kept", 1)?;
                session.commit().await?;
                session.insert("kept", 2)?;
            }
            "logout" => {
                let had = session.get::<String>("canary")?.unwrap_or_default();
                session.logout();
                return Ok(had);
            }
            "read" => {}
            other => unreachable!("{other}"),
        }
        yield_randomly(&waits).await;
        Ok(String::new())
    };
    Router::new()
        .route("/begin/{canary}", get(begin))
        .route("/{what}", get(act))
        .layer(layer(store))
}

async fn begin(session: Session, Path(canary): Path<String>) -> Result<(), Error> {
    session.login("ada")?;
    session.insert("canary", canary)
}

/// The number of rounds: `STORE_ROUNDS`, or 500 by default.
fn rounds() -> u64 {
    let rounds = std::env::var("STORE_ROUNDS");
    rounds.map_or(500, |rounds| rounds.parse().expect("a number"))
}

async fn logged_out_session_never_comes_back(backend: Backend) {
    let from_cookies = Router::new()
        .route("/begin/{canary}", get(begin))
        .layer(in_cookies());
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(0)));
    let mut instances = Vec::new();
    for _ in 0..2 {
        let store = backend.open().await;
        let rng = rng.clone();
        instances.push(app(Wrapped(store, RandomDelays(rng.clone())), &rng));
    }
    let (mut logged_in_again, mut checked) = (0, 0);
    for round in 0..rounds() {
        *rng.lock().expect("no panic") = StdRng::seed_from_u64(round);
        let mut plan = StdRng::seed_from_u64(1_000_000 + round);
        let canary = format!("canary-{round}");
        let mut visitor = Visitor::default();
        // some start with the state in the cookie, which then moves to the store
        let beginning = match plan.random_ratio(1, 3) {
            true => &from_cookies,
            false => &instances[0],
        };
        visitor.get(beginning, &format!("/begin/{canary}")).await;
        let first = visitor.clone();

        // the current cookies of the visitor's browser, and every cookie that was ever set
        let browser = Mutex::new((visitor, ""));
        let seen = Mutex::new(vec![first.clone()]);
        let logged_out = AtomicUsize::new(0);
        let kinds = [
            "write", "count", "renew", "login", "read", "remember", "kept", "renew", "login",
        ];
        let mut requests: Vec<(&str, bool)> = (0..plan.random_range(2..7))
            .map(|_| {
                (
                    kinds[plan.random_range(0..kinds.len())],
                    plan.random_ratio(1, 3),
                )
            })
            .collect();
        let at = plan.random_range(0..=requests.len());
        requests.insert(at, ("logout", plan.random_ratio(1, 4)));
        let requests = requests.into_iter().enumerate().map(|(n, (kind, later))| {
            let app = &instances[plan.random_range(0..2)];
            let (browser, seen, logged_out) = (&browser, &seen, &logged_out);
            let (rng, canary) = (&rng, &canary);
            let first = first.clone();
            async move {
                let (mut own, mut from) = (first, "");
                if later {
                    for _ in 0..n {
                        yield_randomly(rng).await;
                    }
                    (own, from) = browser.lock().expect("no panic").clone();
                }
                let answer = own.get(app, &format!("/{kind}")).await;
                let late = answer.status == StatusCode::SERVICE_UNAVAILABLE && kind == "kept";
                assert!(
                    answer.status == StatusCode::OK || late,
                    "round {round}, {kind}: {}",
                    answer.status
                );
                if !answer.sets_nothing() {
                    let (visitor, set_by) = &mut *browser.lock().expect("no panic");
                    visitor.keep(&answer);
                    *set_by = kind;
                }
                seen.lock().expect("no panic").push(own);
                // after a login, the cookie may belong to a new session; only a logout of the old
                // one counts
                if kind == "logout" && (from != "login" || answer.body == *canary) {
                    logged_out.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        join_all(requests).await;
        if logged_out.into_inner() == 0 {
            continue;
        }
        checked += 1;
        for mut copy in seen.into_inner().expect("no panic") {
            for app in &instances {
                let answer = copy.clone().get(app, "/canary").await;
                assert_eq!(
                    (answer.status, &*answer.body),
                    (StatusCode::OK, ""),
                    "round {round}"
                );
            }
            logged_in_again += usize::from(copy.get(&instances[0], "/who").await.body == "ada");
        }
    }
    assert!(checked > rounds() * 9 / 10, "{checked}");
    // a login after the logout starts a new session without the old contents
    assert!(logged_in_again > 0, "no round has a login after the logout");
}
