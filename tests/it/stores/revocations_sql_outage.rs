//! The log of revocations while PostgreSQL and MariaDB fail, and afterwards.

use std::time::{Duration, Instant};

use http::StatusCode;
use tower_sealed_session::{Revocations, SessionLayer};

use super::{
    redis_client::wait_until,
    revocations_sql::Instance,
    sql::on_every_server,
    sql_server::{Engine, SqlServer, shared},
};
use crate::support::{Visitor, keys};

const SECOND: Duration = Duration::from_secs(1);
const REFUSED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

on_every_server! {
    sessions_are_refused_some_time_after_a_kill_until_the_restart;
    table_that_was_dropped_is_created_and_filled_again;
}

async fn status(instance: &Instance, copy: &Visitor, path: &str) -> StatusCode {
    copy.clone().get(&instance.app, path).await.status
}

async fn sessions_are_refused_some_time_after_a_kill_until_the_restart(engine: Engine) {
    let mut server = SqlServer::start(engine, &[]);
    let url = server.url(server.first_database());
    let log = Revocations::connect(&url).await.expect("a log");
    let here = Instance::over(log.max_staleness(SECOND), SessionLayer::builder(keys()));
    let there = Instance::at(&url).await;
    let visitor = here.login().await;
    let mut leaving = here.login().await;
    let left = leaving.clone();

    server.kill();
    let killed = Instant::now();
    assert_eq!(here.owner(&visitor).await, "ada", "at first");
    assert_eq!(status(&here, &visitor, "/renew").await, REFUSED);
    // a logout is an error, and the log is told later
    let answer = leaving.get(&here.app, "/logout").await;
    assert_eq!(answer.status, REFUSED);
    assert!(leaving.jar.is_empty(), "the browser forgets the cookie");
    assert_eq!(here.owner(&left).await, "", "here, at once");
    wait_until(async || status(&here, &visitor, "/who").await == REFUSED).await;
    let took = killed.elapsed();
    assert!(took > SECOND / 2 && took < 2 * SECOND, "{took:?}");
    let nobody = Visitor::default();
    assert_eq!(status(&here, &nobody, "/who").await, StatusCode::OK);
    assert_eq!(status(&here, &nobody, "/login/ada").await, StatusCode::OK);
    assert_eq!(there.owner(&left).await, "ada", "it cannot know");

    server.restart();
    let back = Instant::now();
    wait_until(async || status(&here, &visitor, "/who").await == StatusCode::OK).await;
    println!("recovered after {:?}", back.elapsed());
    assert!(back.elapsed() < 3 * SECOND, "{:?}", back.elapsed());
    wait_until(async || there.owner(&left).await.is_empty()).await;
    assert_eq!(here.owner(&visitor).await, "ada");
    assert_eq!(Instance::at(&url).await.owner(&left).await, "");
    let mut visitor = visitor;
    let old = visitor.clone();
    let renewed = visitor.get(&here.app, "/renew").await;
    assert_eq!(renewed.status, StatusCode::OK);
    wait_until(async || there.owner(&old).await.is_empty()).await;
    assert_eq!(there.owner(&visitor).await, "ada");
}

async fn table_that_was_dropped_is_created_and_filled_again(engine: Engine) {
    let server = shared(engine);
    let name = server.database().await;
    let (here, there) = (
        Instance::at(&server.url(&name)).await,
        Instance::at(&server.url(&name)).await,
    );
    let mut copies = Vec::new();
    for end in ["/logout", "/renew", "/login/bob"].repeat(50) {
        let mut visitor = here.login().await;
        copies.push(visitor.clone());
        assert_eq!(visitor.get(&here.app, end).await.status, StatusCode::OK);
    }
    copies.push(here.login().await);
    here.layer.revoke_owner("ada").await.expect("a log");
    wait_until(async || there.log.len() == 151).await;
    let mut leaving = here.login().await;
    copies.push(leaving.clone());
    let goes_on = there.login().await;

    server
        .execute(&name, "drop table session_revocations")
        .await;
    // one of the instances may have created the table again
    let answer = leaving.get(&here.app, "/logout").await;
    assert!(matches!(answer.status, StatusCode::OK | REFUSED));
    let tables = format!(
        "select count(*) from information_schema.tables \
         where table_name = 'session_revocations' and table_schema in ('public', '{name}')"
    );
    wait_until(async || server.number(&name, &tables).await == 1).await;
    let rows = "select count(*) from session_revocations";
    // with those by which an instance asks the other to do the same
    wait_until(async || server.number(&name, rows).await >= 153).await;
    let later = Instance::at(&server.url(&name)).await;
    assert_eq!(later.log.len(), 152);
    for instance in [&here, &there, &later] {
        for copy in &copies {
            assert_eq!(instance.owner(copy).await, "");
        }
        assert_eq!(instance.owner(&goes_on).await, "ada");
    }
    // what comes next is followed too
    let mut next = here.login().await;
    let copy = next.clone();
    assert_eq!(next.get(&here.app, "/logout").await.status, StatusCode::OK);
    for instance in [&there, &later] {
        wait_until(async || instance.owner(&copy).await.is_empty()).await;
    }
}
