//! `move`: from one kind of store to another, while visitors use the app.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use serde_json::json;
use tower_sealed_session::{Error, Session, SessionLayer, SessionLayerBuilder};

use super::{Kind, TestStore, run, write};
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
    async fn who(session: Session) -> String {
        session.owner().unwrap_or_default()
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
        .route("/who", get(who))
        .route("/renew", get(renew))
        .route("/logout", get(logout))
        .layer(layer)
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

    let mut idle = Vec::new();
    for n in 0..300 {
        let mut visitor = Visitor::default();
        visitor.get(&only_old, &format!("/login/idle-{n}")).await;
        visitor.get(&only_old, "/count").await;
        idle.push(visitor);
    }
    let gone = idle.pop().expect("300");
    let mut leaving = gone.clone();
    leaving.get(&only_old, "/logout").await;
    let file = r#"{"a": {"theme": "dark", "user_id": "later"}}"#;
    let file = write(&old.folder.0, "parsed_sessions.json", file);
    run(&["import", &file, "--store", &old.url]).exits(0);

    // visitors who use the app all the time
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..8)
        .map(|n| {
            let (both, stop) = (both.clone(), stop.clone());
            tokio::spawn(async move {
                let mut visitor = Visitor::default();
                visitor.get(&both, &format!("/login/busy-{n}")).await;
                let mut counted = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = visitor.get(&both, "/count").await;
                    assert_eq!(answer.status, 200);
                    counted += 1;
                    assert_eq!(answer.body, format!("busy-{n} {counted}"));
                    if counted % 10 == 0 {
                        visitor.get(&both, "/renew").await;
                    }
                }
                (visitor, counted)
            })
        })
        .collect();
    let moved = run(&["move", "--from", &old.url, "--to", &new.url, "--json"]).exits(0);
    let moved = moved.json();
    assert_eq!((&moved["moved"], &moved["left"]), (&json!(299), &json!(0)));
    stop.store(true, Ordering::Relaxed);

    for (n, mut visitor) in idle.into_iter().enumerate() {
        let answer = visitor.get(&only_new, "/count").await;
        assert_eq!(answer.body, format!("idle-{n} 2"));
        // with the cookie that it got for the new store
        assert_eq!(
            visitor.get(&only_new, "/count").await.body,
            format!("idle-{n} 3")
        );
    }
    for (n, visitor) in busy.into_iter().enumerate() {
        let (mut visitor, counted) = visitor.await.expect("no panic");
        let answer = visitor.get(&only_new, "/count").await;
        assert_eq!(answer.body, format!("busy-{n} {}", counted + 1));
    }
    let mut gone = gone;
    assert_eq!(gone.get(&only_new, "/who").await.body, "");
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

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_to_postgres_loses_nothing() {
    moves(Kind::Sqlite, Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_to_redis_loses_nothing() {
    moves(Kind::Postgres, Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_to_mariadb_loses_nothing() {
    moves(Kind::Redis, Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_to_sqlite_loses_nothing() {
    moves(Kind::MariaDb, Kind::Sqlite).await;
}
