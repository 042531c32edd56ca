//! The end of a session is final: it and copies of its cookie stay ended, whatever requests are in
//! flight on any instance, also if they are cancelled or a secret is replaced.

mod in_cookies;
mod in_stores;
mod round;

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Path, routing::get};
use http::StatusCode;
use rand::{RngExt as _, rngs::StdRng};
use tower_sealed_session::{Error, KeyRing, Session, SessionLayer, SessionLayerBuilder, testing};

use self::round::{Cookies, Login, Place, Round};
use crate::support::{OTHER_SECRET, SECRET, Visitor, secret};

/// The number of rounds: `STORE_ROUNDS`, or the default.
fn rounds(default: u64) -> u64 {
    let rounds = std::env::var("STORE_ROUNDS");
    rounds.map_or(default, |rounds| rounds.parse().expect("a number"))
}

async fn yield_randomly(rng: &Mutex<StdRng>) {
    let steps = rng.lock().expect("no panic").random_range(0..12);
    yields(steps).await;
}

async fn yields(steps: u32) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}

/// The settings of two instances. While a secret is replaced, one of them has the new one already.
fn builders() -> [SessionLayerBuilder; 2] {
    [[SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET]].map(|[current, fallback]| {
        let keys = KeyRing::new(secret(current)).fallback(secret(fallback));
        testing::as_another_process(SessionLayer::builder(keys))
    })
}

/// An instance of the app.
struct Instance {
    app: Router,
    layer: SessionLayer,
}

/// The session that a cookie brings.
struct Seen {
    canary: String,
    owner: String,
    id: String,
}

impl Instance {
    fn new(layer: SessionLayer, rng: &Arc<Mutex<StdRng>>) -> Self {
        Self {
            app: app(layer.clone(), rng),
            layer,
        }
    }

    async fn sees(&self, copy: &Visitor) -> Seen {
        let answer = copy.clone().get(&self.app, "/nobody/see").await;
        assert_eq!(answer.status, StatusCode::OK);
        let mut lines = answer.body.lines().map(str::to_owned);
        let mut line = || lines.next().expect("three lines");
        Seen {
            canary: line(),
            owner: line(),
            id: line(),
        }
    }
}

/// An app whose paths name an owner and what to do.
fn app(layer: SessionLayer, rng: &Arc<Mutex<StdRng>>) -> Router {
    let waits = rng.clone();
    let act = async move |session: Session,
                          Path((owner, what)): Path<(String, String)>|
                -> Result<String, Error> {
        yield_randomly(&waits).await;
        let had = match what.as_str() {
            "see" | "login" | "logout" => session.get("canary")?.unwrap_or_default(),
            _ => String::new(),
        };
        match what.as_str() {
            "see" => {
                let (owner, id) = (session.owner().unwrap_or_default(), session.id()?);
                return Ok(format!("{had}\n{owner}\n{id:?}"));
            }
            "write" => session.insert("other", 1)?,
            "count" => drop(session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?),
            "renew" => session.renew(),
            "remember" => session.remember(std::time::Duration::from_secs(9999)),
            "login" => session.login(owner)?,
            "kept" => {
                session.insert("kept", 1)?;
                session.commit().await?;
                session.insert("kept", 2)?;
            }
            "logout" => {
                session.logout();
                return Ok(had);
            }
            "read" => {}
            other => unreachable!("{other}"),
        }
        yield_randomly(&waits).await;
        Ok(had)
    };
    Router::new()
        .route("/{owner}/begin/{canary}", get(begin))
        .route("/{owner}/{what}", get(act))
        .layer(layer)
}

async fn begin(
    session: Session,
    Path((owner, canary)): Path<(String, String)>,
) -> Result<(), Error> {
    session.login(owner)?;
    session.insert("canary", canary)
}
