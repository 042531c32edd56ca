//! Sessions in stores: the behaviour of the layer, and the contract of each store.

mod at_rest;
mod backend;
mod cluster;
mod cluster_scan;
mod conformance;
mod devices;
mod ended;
mod failures;
mod faults;
mod finality;
mod index_steps;
mod lost_answers;
mod modes;
mod outage;
mod passive;
mod processes;
mod proxy;
pub(crate) mod redis_checks;
pub(crate) mod redis_client;
mod redis_cluster;
mod redis_health;
pub(crate) mod redis_server;
mod revocation_example;
mod revocations;
mod revocations_sql;
mod revocations_sql_outage;
mod revoke_before;
mod round_trips;
mod server_time;
mod sql;
mod sql_outage;
pub(crate) mod sql_server;
mod sqlite;
mod stages;
mod steps;
mod tls;
mod two_stores;
mod two_stores_faults;
mod two_stores_owners;
mod writes;

use std::time::Duration;

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tower_sealed_session::{Error, Session, SessionLayer};

/// An app whose paths name the action on the session.
pub(crate) fn app(layer: SessionLayer) -> Router {
    async fn set(
        session: Session,
        Path((key, value)): Path<(String, String)>,
    ) -> Result<(), Error> {
        session.insert(&key, value)
    }
    async fn read(
        session: Session,
        Path(key): Path<String>,
    ) -> Result<Result<String, StatusCode>, Error> {
        Ok(session.get::<String>(&key)?.ok_or(StatusCode::NOT_FOUND))
    }
    async fn big(session: Session, Path(len): Path<usize>) -> Result<(), Error> {
        session.insert("big", "x".repeat(len))
    }
    async fn set_and_big(session: Session, Path(len): Path<usize>) -> Result<(), Error> {
        session.insert("small", 1)?;
        session.insert("big", "x".repeat(len))
    }
    async fn login(session: Session, Path(who): Path<String>) -> Result<(), Error> {
        session.login(who)
    }
    async fn act(session: Session, Path(what): Path<String>) -> Result<String, Error> {
        match what.as_str() {
            "who" => return Ok(session.owner().unwrap_or_default()),
            "id" => return Ok(format!("{:?}", session.id()?)),
            "len" => return Ok(session.len().to_string()),
            "count" => return Ok(session.update("n", |n| n.unwrap_or(0) + 1)?.to_string()),
            "logout" => session.logout(),
            "renew" => session.renew(),
            "clear" => session.clear(),
            "remember" => session.remember(Duration::from_secs(20 * 24 * 3600)),
            "commit" => {
                session.insert("committed", "1")?;
                session.commit().await?;
            }
            "logout-and-commit" => {
                session.logout();
                session.commit().await?;
            }
            other => unreachable!("{other}"),
        }
        Ok(String::new())
    }
    Router::new()
        .route("/untouched", get(|| async { "untouched" }))
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(read))
        .route("/big/{len}", get(big))
        .route("/set-and-big/{len}", get(set_and_big))
        .route("/login/{who}", get(login))
        .route("/{what}", get(act))
        .layer(layer)
}
