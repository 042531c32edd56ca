//! `move`: from each kind of store to each other one, while visitors use the app. `MOVED` sets how
//! many sessions there are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, routing::get};
use serde_json::json;
use tokio::task::JoinHandle;
use tower_sealed_session::{Error, Session, SessionLayer, SessionLayerBuilder};

use super::{
    Kind, TestStore,
    large::{each, exact, size},
    run, write,
};
use crate::support::{Visitor, keys};

fn app(layer: SessionLayer) -> Router {
    async fn login(session: Session, Path(user): Path<String>) -> Result<String, Error> {
        session.login(&user)?;
        Ok(session.adopt_imported().await?.to_string())
    }
    async fn count(session: Session) -> Result<String, Error> {
        let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        Ok(format!("{} {n}", session.owner().unwrap_or_default()))
    }
    async fn see(session: Session) -> Result<String, Error> {
        let n = session.get::<u64>("n")?.unwrap_or(0);
        Ok(format!("{} {n}", session.owner().unwrap_or_default()))
    }
    async fn renew(session: Session) {
        session.renew();
    }
    async fn logout(session: Session) {
        session.logout();
    }
    Router::new()
        .route("/login/{user}", get(login))
        .route("/count", get(count))
        .route("/see", get(see))
        .route("/renew", get(renew))
        .route("/logout", get(logout))
        .layer(layer)
}

/// Someone who has a session in the old store.
#[derive(Clone)]
struct Idle {
    n: u64,
    visitor: Visitor,
    /// How often it counted.
    counted: u64,
    /// The cookies before the logout.
    before_logout: Option<Visitor>,
}

impl Idle {
    async fn new(n: u64, app: &Router) -> Self {
        let mut visitor = Visitor::default();
        visitor.get(app, &format!("/login/idle-{n}")).await;
        visitor.get(app, "/count").await;
        Self {
            n,
            visitor,
            counted: 1,
            before_logout: None,
        }
    }

    fn seen(&self) -> String {
        format!("idle-{} {}", self.n, self.counted)
    }

    /// Reads, writes or logs out.
    async fn come_back(&mut self, app: &Router) {
        match self.n / 10 % 8 {
            0 => {
                self.before_logout = Some(self.visitor.clone());
                self.visitor.get(app, "/logout").await;
            }
            1..4 => {
                let answer = self.visitor.get(app, "/see").await;
                assert_eq!(answer.body, self.seen());
            }
            _ => {
                let answer = self.visitor.get(app, "/count").await;
                self.counted += 1;
                assert_eq!(answer.body, self.seen());
            }
        }
    }

    /// Fails if anything of the session was lost.
    async fn finds_all(mut self, app: &Router) {
        if let Some(mut old) = self.before_logout {
            assert_eq!(old.get(app, "/see").await.body, " 0", "{}", self.n);
            return;
        }
        for _ in 0..2 {
            // the second time with the cookie that it got for the new store
            self.counted += 1;
            let answer = self.visitor.get(app, "/count").await;
            assert_eq!(answer.body, self.seen());
        }
    }
}

/// One who writes and renews all the time.
fn busy(n: u64, app: &Router, stop: &Arc<AtomicBool>) -> JoinHandle<(Visitor, u64)> {
    let (app, stop) = (app.clone(), stop.clone());
    tokio::spawn(async move {
        let mut visitor = Visitor::default();
        visitor.get(&app, &format!("/login/busy-{n}")).await;
        let mut counted = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = visitor.get(&app, "/count").await;
            assert_eq!(answer.status, 200);
            counted += 1;
            assert_eq!(answer.body, format!("busy-{n} {counted}"));
            if counted % 10 == 0 {
                visitor.get(&app, "/renew").await;
            }
        }
        (visitor, counted)
    })
}

/// One after the other comes back.
fn returning(
    mut idle: Vec<Idle>,
    app: &Router,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(Vec<Idle>, u64)> {
    let (app, stop) = (app.clone(), stop.clone());
    tokio::spawn(async move {
        let mut came = 0;
        for it in &mut idle {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            it.come_back(&app).await;
            came += 1;
        }
        (idle, came)
    })
}

/// Moves under load, and then uses the new store alone.
async fn moves(from: Kind, to: Kind) {
    let (old, new) = (TestStore::new(from).await, TestStore::new(to).await);
    // no request fails because the machine is busy
    let builder = || SessionLayer::builder(keys()).store_timeout(Duration::from_secs(10));
    let built = |builder: SessionLayerBuilder| app(builder.build().expect("valid settings"));
    let only_old = built(builder().store(old.store.clone()));
    let both = builder().store(new.store.clone());
    let both = built(both.read_from(old.store.clone()));
    let only_new = built(builder().store(new.store.clone()));

    let visitors = size("MOVED", 300);
    let arriving = only_old.clone();
    let mut idle = each(visitors, move |n| {
        let arriving = arriving.clone();
        async move { Idle::new(n, &arriving).await }
    })
    .await;
    let mut gone = idle.pop().expect("visitors");
    gone.before_logout = Some(gone.visitor.clone());
    gone.visitor.get(&only_old, "/logout").await;
    let file = r#"{"a": {"theme": "dark", "user_id": "later"}}"#;
    let file = write(&old.folder.0, "parsed_sessions.json", file);
    run(&["import", &file, "--store", &old.url]).exits(0);

    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..8).map(|n| busy(n, &both, &stop)).collect();
    // every tenth visitor comes back during the move
    let (back, away): (Vec<_>, Vec<_>) = idle.into_iter().partition(|idle| idle.n % 10 == 0);
    let back = [0, 1].map(|half| {
        let back = back.iter().filter(|idle| idle.n / 10 % 2 == half);
        returning(back.cloned().collect(), &both, &stop)
    });
    let start = Instant::now();
    let moved = run(&["move", "--from", &old.url, "--to", &new.url, "--json"]).exits(0);
    let seconds = start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);

    let (mut idle, mut came) = (away, 0);
    for task in back {
        let (back, more) = task.await.expect("no panic");
        idle.extend(back);
        came += more;
    }
    let mut counted = Vec::new();
    for task in busy {
        counted.push(task.await.expect("no panic"));
    }
    let moved = moved.json();
    assert_eq!(
        (&moved["left"], &moved["unreadable"]),
        (&json!(0), &json!(0))
    );
    let by_command = moved["moved"].as_u64().expect("a number");
    let written: u64 = counted.iter().map(|(_, counted)| counted).sum();
    println!(
        "{from:?} to {to:?}: {by_command} moved in {seconds:.2} s, {:.0} a second, while {came} \
         came back, and others wrote {written} times",
        by_command as f64 / seconds
    );
    assert!((visitors - 1 - came..visitors).contains(&by_command));
    let left = idle.iter().filter(|idle| idle.before_logout.is_some());
    let sessions = visitors - 1 - left.count() as u64 + 8;
    assert_eq!(exact(&new)["sessions"], sessions);
    assert_eq!(exact(&old)["sessions"], 0);

    idle.push(gone);
    let (idle, alone) = (Arc::new(idle), only_new.clone());
    each(visitors, move |n| {
        let (idle, alone) = (idle.clone(), alone.clone());
        async move { idle[n as usize].clone().finds_all(&alone).await }
    })
    .await;
    for (n, (mut visitor, counted)) in counted.into_iter().enumerate() {
        let answer = visitor.get(&only_new, "/count").await;
        assert_eq!(answer.body, format!("busy-{n} {}", counted + 1));
    }
    let mut later = Visitor::default();
    assert_eq!(later.get(&only_new, "/login/later").await.body, "true");
    assert_eq!(
        Visitor::default().get(&both, "/login/later").await.body,
        "false"
    );
    // nothing is left to do
    let again = run(&["move", "--from", &old.url, "--to", &new.url, "--json"]).exits(0);
    assert_eq!(again.json()["moved"], 0);
}

macro_rules! lose_nothing {
    ($($(#[$attribute:meta])* $test:ident: $from:ident to $to:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        $(#[$attribute])*
        async fn $test() {
            moves(Kind::$from, Kind::$to).await;
        })*
    };
}

lose_nothing! {
    redis_to_postgres_loses_nothing: Redis to Postgres;
    #[ignore = "`.ci/nightly cli` runs it"]
    redis_to_mariadb_loses_nothing: Redis to MariaDb;
    #[ignore = "`.ci/nightly cli` runs it"]
    redis_to_sqlite_loses_nothing: Redis to Sqlite;
    #[ignore = "`.ci/nightly cli` runs it"]
    postgres_to_redis_loses_nothing: Postgres to Redis;
    postgres_to_mariadb_loses_nothing: Postgres to MariaDb;
    #[ignore = "`.ci/nightly cli` runs it"]
    postgres_to_sqlite_loses_nothing: Postgres to Sqlite;
    #[ignore = "`.ci/nightly cli` runs it"]
    mariadb_to_redis_loses_nothing: MariaDb to Redis;
    #[ignore = "`.ci/nightly cli` runs it"]
    mariadb_to_postgres_loses_nothing: MariaDb to Postgres;
    mariadb_to_sqlite_loses_nothing: MariaDb to Sqlite;
    sqlite_to_redis_loses_nothing: Sqlite to Redis;
    #[ignore = "`.ci/nightly cli` runs it"]
    sqlite_to_postgres_loses_nothing: Sqlite to Postgres;
    #[ignore = "`.ci/nightly cli` runs it"]
    sqlite_to_mariadb_loses_nothing: Sqlite to MariaDb;
}
