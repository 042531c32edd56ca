//! Logout and `delete_owner` are final: the session and copies of its cookie stay ended, whatever
//! requests are in flight on any instance, also if they are cancelled or a secret is replaced.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Path, routing::get};
use futures_util::future::join_all;
use http::StatusCode;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tower_sealed_session::{
    Error, KeyRing, Session, SessionLayer,
    store::{StoreError, StoreKey},
    testing,
};

use super::backend::{Backend, Call, Intercept, Wrapped, built, on_every_store};
use crate::support::{Answer, OTHER_SECRET, SECRET, Visitor, layer as in_cookies, secret};

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

async fn yield_randomly(rng: &Mutex<StdRng>) {
    let steps = rng.lock().expect("no panic").random_range(0..12);
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}

fn app(layer: SessionLayer, rng: &Arc<Mutex<StdRng>>) -> Router {
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
        .layer(layer)
}

async fn begin(session: Session, Path(canary): Path<String>) -> Result<(), Error> {
    session.login("ada")?;
    session.insert("canary", canary)
}

/// The number of rounds: `STORE_ROUNDS`, or 200 by default.
fn rounds() -> u64 {
    let rounds = std::env::var("STORE_ROUNDS");
    rounds.map_or(200, |rounds| rounds.parse().expect("a number"))
}

/// The number of the login that a cookie comes from. 0 is the first one.
type Login = usize;

/// The cookies of one round.
struct Cookies {
    /// Those of the visitor's browser, with their login.
    browser: (Visitor, Login),
    /// Every cookie that was ever set.
    seen: Vec<(Visitor, Login)>,
    logins: usize,
    ended: HashSet<Login>,
}

impl Cookies {
    fn new(first: &Visitor) -> Self {
        Self {
            browser: (first.clone(), 0),
            seen: vec![(first.clone(), 0)],
            logins: 1,
            ended: HashSet::new(),
        }
    }

    /// Notes the answer to a request that had a cookie of the login `bore`.
    fn answered(&mut self, kind: &str, answer: &Answer, own: &Visitor, bore: Login, canary: &str) {
        let mut login = bore;
        if kind == "login" {
            (login, self.logins) = (self.logins, self.logins + 1);
        }
        if !answer.sets_nothing() {
            self.browser.0.keep(answer);
            self.browser.1 = login;
        }
        self.seen.push((own.clone(), login));
        // a logout with a cookie of an ended session does not end the login that followed
        if kind == "logout" && answer.status == StatusCode::OK && answer.body == canary {
            self.ended.insert(bore);
        }
    }
}

async fn ended_session_never_comes_back(backend: Backend) {
    let from_cookies = Router::new()
        .route("/begin/{canary}", get(begin))
        .layer(in_cookies());
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(0)));
    let (mut layers, mut instances) = (Vec::new(), Vec::new());
    // while a secret is replaced, one instance has the new one already
    for [current, fallback] in [[SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET]] {
        let keys = KeyRing::new(secret(current)).fallback(secret(fallback));
        let builder = testing::as_another_process(SessionLayer::builder(keys));
        let store = Wrapped(backend.open().await, RandomDelays(rng.clone()));
        let layer = built(builder).store(store);
        instances.push(app(layer.clone(), &rng));
        layers.push(layer);
    }
    let (mut logged_in_again, mut checked) = (0, 0);
    for round in 0..rounds() {
        *rng.lock().expect("no panic") = StdRng::seed_from_u64(round);
        let mut plan = StdRng::seed_from_u64(1_000_000 + round);
        let canary = format!("canary-{round}");
        let mut visitor = Visitor::default();
        // some start with the state in the cookie, which then moves to the store
        let is_inline = plan.random_ratio(1, 3);
        let beginning = match is_inline {
            true => &from_cookies,
            false => &instances[0],
        };
        visitor.get(beginning, &format!("/begin/{canary}")).await;
        let first = visitor.clone();
        let cookies = Mutex::new(Cookies::new(&first));
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
        let end = match plan.random_ratio(1, 4) {
            true => "delete_owner",
            false => "logout",
        };
        let at = plan.random_range(0..=requests.len());
        requests.insert(at, (end, plan.random_ratio(1, 4)));
        let requests = requests.into_iter().enumerate().map(|(n, (kind, later))| {
            let instance = plan.random_range(0..2);
            let cancelled =
                (kind != end && plan.random_ratio(1, 6)).then(|| plan.random_range(1..60));
            let (app, layer, cookies) = (&instances[instance], &layers[instance], &cookies);
            let (rng, canary) = (&rng, &canary);
            let first = first.clone();
            async move {
                let (mut own, mut bore) = (first, 0);
                if later {
                    for _ in 0..n {
                        yield_randomly(rng).await;
                    }
                    (own, bore) = cookies.lock().expect("no panic").browser.clone();
                }
                if kind == "delete_owner" {
                    // a session that is still in its cookie is not in the store
                    let seen = cookies.lock().expect("no panic").seen.clone();
                    layer.delete_owner("ada").await.expect("a store");
                    let mut cookies = cookies.lock().expect("no panic");
                    let theirs = seen.iter().map(|(_, login)| *login);
                    cookies
                        .ended
                        .extend(theirs.filter(|login| *login > 0 || !is_inline));
                    return;
                }
                let path = format!("/{kind}");
                let request = own.get(app, &path);
                let steps = async {
                    match cancelled {
                        Some(steps) => yields(steps).await,
                        None => std::future::pending().await,
                    }
                };
                let answer = tokio::select! {
                    biased;
                    answer = request => answer,
                    () = steps => return,
                };
                // what cannot be kept is not answered 200
                let status = answer.status;
                assert!(
                    status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE,
                    "round {round}, {kind}: {status}"
                );
                let mut cookies = cookies.lock().expect("no panic");
                cookies.answered(kind, &answer, &own, bore, canary);
            }
        });
        join_all(requests).await;
        let Cookies { seen, ended, .. } = cookies.into_inner().expect("no panic");
        if ended.is_empty() {
            continue;
        }
        checked += 1;
        for (mut copy, login) in seen {
            let has_ended = ended.contains(&login);
            for app in &instances {
                let answer = copy.clone().get(app, "/canary").await;
                assert_eq!(answer.status, StatusCode::OK, "round {round}");
                assert!(
                    !has_ended || answer.body.is_empty(),
                    "round {round}: a cookie of login {login} has {}",
                    answer.body
                );
            }
            let who = copy.get(&instances[0], "/who").await.body;
            assert!(!has_ended || who.is_empty(), "round {round}: login {login}");
            logged_in_again += usize::from(who == "ada");
        }
    }
    assert!(checked > rounds() * 7 / 10, "{checked}");
    // a login after the end is a session of its own
    assert!(logged_in_again > 0, "no round has a login after the end");
}

async fn yields(steps: u32) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}
