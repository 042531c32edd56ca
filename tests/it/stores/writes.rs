//! Acknowledged writes are never lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Router, extract::Path, routing::get};
use http::StatusCode;
use tower_sealed_session::{Error, Session};

use super::backend::{Backend, layer, on_every_store};
use crate::support::{Visitor, get_with};

on_every_store! {
    writes_of_64_tasks_through_two_instances_are_all_kept;
}

/// The number of writes of each task: `STORE_WRITES`, or 25 by default.
pub(super) fn writes() -> usize {
    let writes = std::env::var("STORE_WRITES");
    writes.map_or(25, |writes| writes.parse().expect("a number"))
}

fn app(store: tower_sealed_session::store::AnyStore) -> Router {
    async fn set(session: Session, Path((key, value)): Path<(String, u64)>) -> Result<(), Error> {
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        session.insert(&key, value)
    }
    async fn all(session: Session) -> Result<String, Error> {
        let all: BTreeMap<String, u64> = session.read()?;
        Ok(serde_json::to_string(&all).expect("JSON"))
    }
    Router::new()
        .route("/", get(all))
        .route("/{key}/{value}", get(set))
        // this test is about lost writes, so a busy machine must not cause time-outs
        .layer(layer(store).store_timeout(Duration::from_secs(60)))
}

async fn writes_of_64_tasks_through_two_instances_are_all_kept(backend: Backend) {
    const TASKS: usize = 64;
    let writes = writes();
    let instances = Arc::new([app(backend.open().await), app(backend.open().await)]);
    let mut visitor = Visitor::default();
    assert_eq!(
        visitor.get(&instances[0], "/start/1").await.status,
        StatusCode::OK
    );
    let cookie = Arc::new(visitor.cookie_line());
    let tasks = (0..TASKS).map(|task| {
        let (instances, cookie) = (instances.clone(), cookie.clone());
        tokio::spawn(async move {
            for write in 0..writes {
                let app = &instances[(task + write) % 2];
                let path = format!("/k{task}-{write}/{write}");
                let answer = get_with(app, &path, &[cookie.as_bytes()]).await;
                assert_eq!(answer.status, StatusCode::OK, "task {task}, write {write}");
                assert!(answer.sets_nothing(), "no new ticket is sent");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("all writes are acknowledged");
    }
    let all = visitor.get(&instances[1], "/").await.body;
    let all: BTreeMap<String, u64> = serde_json::from_str(&all).expect("JSON");
    assert_eq!(all["n"], (TASKS * writes + 1) as u64);
    assert_eq!(all.len(), TASKS * writes + 2);
    for task in 0..TASKS {
        for write in 0..writes {
            assert_eq!(all[&format!("k{task}-{write}")], write as u64);
        }
    }
}
