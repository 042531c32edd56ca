//! The log of revocations in SQLite and in real PostgreSQL and MariaDB servers.

use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::{join, join_all};
use http::StatusCode;
use sqlx::Connection as _;
use tower_sealed_session::{
    KeyRing, Revocations, SessionLayer, SessionLayerBuilder,
    store::{MySqlStore, PostgresStore, SqliteStore, StoreErrorKind},
    testing,
};

use super::{
    app,
    backend::{Backend, built},
    sql_server::{Engine, shared},
};
use crate::{
    processes::Folder,
    support::{NAME, OTHER_SECRET, SECRET, Visitor, keys, on_a_clock, secret},
};

const SECOND: Duration = Duration::from_secs(1);

/// Runs each test with an empty database of each kind.
macro_rules! on_every_database {
    ($($claim:ident;)*) => {$(
        mod $claim {
            use crate::stores::sql_server::Engine;

            #[tokio::test]
            async fn sqlite() {
                super::$claim(super::empty(None).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$claim(super::empty(Some(Engine::Postgres)).await).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$claim(super::empty(Some(Engine::MariaDb)).await).await;
            }
        }
    )*};
}

on_every_database! {
    other_instances_know_an_end_within_a_second;
    eight_instances_create_the_table_at_once;
    expired_rows_are_deleted;
    one_of_two_renewals_of_an_id_succeeds;
    rows_that_exist_are_not_added_again;
    rows_contain_no_owner_no_id_and_no_cookie;
    missing_table_is_told_and_the_sql_creates_it;
}

async fn empty(engine: Option<Engine>) -> Backend {
    match engine {
        None => Backend::Sqlite(Folder::new()),
        Some(engine) => Backend::Sql(engine, shared(engine).database().await),
    }
}

/// An instance of an app whose sessions are in cookies.
pub(super) struct Instance {
    pub(super) app: Router,
    pub(super) layer: SessionLayer,
    pub(super) log: Revocations,
}

impl Instance {
    async fn start(database: &Backend) -> Self {
        Self::at(&database.url()).await
    }

    /// Each instance has its own connections.
    async fn with(database: &Backend, builder: SessionLayerBuilder) -> Self {
        let log = Revocations::connect(&database.url()).await.expect("a log");
        Self::over(log, builder)
    }

    pub(super) async fn at(url: &str) -> Self {
        let log = Revocations::connect(url).await.expect("a log");
        Self::over(log, SessionLayer::builder(keys()))
    }

    pub(super) fn over(log: Revocations, builder: SessionLayerBuilder) -> Self {
        let layer = built(testing::as_another_process(builder).revocations(log.clone()));
        Self {
            app: app(layer.clone()),
            layer,
            log,
        }
    }

    pub(super) async fn login(&self) -> Visitor {
        let mut visitor = Visitor::default();
        visitor.get(&self.app, "/login/ada").await;
        visitor
    }

    /// Whose session a visitor with a copy of these cookies has.
    pub(super) async fn owner(&self, copy: &Visitor) -> String {
        copy.clone().get(&self.app, "/who").await.body
    }

    /// Waits until a copy is refused, at most for a second. Returns how long it took.
    async fn refuses(&self, copy: &Visitor) -> Duration {
        let start = Instant::now();
        while !self.owner(copy).await.is_empty() {
            assert!(start.elapsed() < SECOND, "within a second");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        start.elapsed()
    }
}

/// The names and the entries of all rows.
async fn rows(database: &Backend) -> Vec<(Vec<u8>, Vec<u8>)> {
    const SELECT: &str = "select name, entry from session_revocations order by seq";
    let url = database.url();
    let rows = match database {
        Backend::Sql(Engine::Postgres, _) => {
            let mut server = sqlx::PgConnection::connect(&url).await.expect("a server");
            sqlx::query_as(SELECT).fetch_all(&mut server).await
        }
        Backend::Sql(Engine::MariaDb, _) => {
            let server = sqlx::MySqlConnection::connect(&url).await;
            let mut server = server.expect("a server");
            sqlx::query_as(SELECT).fetch_all(&mut server).await
        }
        _ => {
            let mut file = sqlx::SqliteConnection::connect(&url).await.expect("a file");
            sqlx::query_as(SELECT).fetch_all(&mut file).await
        }
    };
    rows.expect("the table")
}

async fn other_instances_know_an_end_within_a_second(database: Backend) {
    let here = Instance::start(&database).await;
    let there = Instance::start(&database).await;
    let (mut copies, mut delays) = (Vec::new(), Vec::new());
    for end in ["/logout", "/login/bob", "/renew"].repeat(4) {
        let mut visitor = here.login().await;
        let copy = visitor.clone();
        assert_eq!(there.owner(&copy).await, "ada");
        assert_eq!(visitor.get(&here.app, end).await.status, StatusCode::OK);
        assert_eq!(here.owner(&copy).await, "", "at once");
        delays.push(there.refuses(&copy).await);
        copies.push(copy);
    }
    delays.sort();
    let (median, longest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("refused after {median:?} (median), {longest:?} (longest)");
    let later = Instance::start(&database).await;
    for copy in &copies {
        assert_eq!(later.owner(copy).await, "");
    }
    let copy = here.login().await;
    here.layer.revoke_owner("ada").await.expect("a log");
    there.refuses(&copy).await;
}

async fn eight_instances_create_the_table_at_once(database: Backend) {
    let instances = join_all((0..8).map(|_| Instance::start(&database))).await;
    let mut visitor = instances[0].login().await;
    let copy = visitor.clone();
    visitor.get(&instances[0].app, "/logout").await;
    for instance in &instances {
        instance.refuses(&copy).await;
    }
}

async fn expired_rows_are_deleted(database: Backend) {
    let (builder, clock) = on_a_clock();
    let instance = Instance::with(&database, builder).await;
    let log_out = async || {
        let mut visitor = instance.login().await;
        visitor.get(&instance.app, "/logout").await;
    };
    for _ in 0..3 {
        log_out().await;
    }
    clock.advance(Duration::from_secs(2 * 366 * 24 * 3600));
    log_out().await;
    let before = rows(&database).await;
    assert_eq!(before.len(), 4);
    // rows are deleted every 30 seconds
    tokio::time::pause();
    tokio::time::advance(SECOND * 31).await;
    tokio::time::resume();
    let deadline = Instant::now() + SECOND * 10;
    while rows(&database).await != before[3..] {
        assert!(Instant::now() < deadline, "expired rows are deleted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(instance.log.len(), 1);
}

async fn one_of_two_renewals_of_an_id_succeeds(database: Backend) {
    let here = Instance::start(&database).await;
    let there = Instance::start(&database).await;
    for _ in 0..20 {
        let before = here.login().await;
        let (mut one, mut other) = (before.clone(), before.clone());
        let renewals = join(
            one.get(&here.app, "/renew"),
            other.get(&there.app, "/renew"),
        );
        let answers = renewals.await;
        let statuses = [answers.0.status, answers.1.status];
        let renewed = match statuses {
            [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] => {
                assert!(answers.1.sets_nothing());
                one
            }
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK] => {
                assert!(answers.0.sets_nothing());
                other
            }
            _ => panic!("{statuses:?}"),
        };
        assert!(renewed != before);
        for instance in [&here, &there] {
            assert_eq!(instance.owner(&renewed).await, "ada");
            instance.refuses(&before).await;
        }
    }
}

/// An instance with two secrets adds two rows for an owner.
async fn rows_that_exist_are_not_added_again(database: Backend) {
    let one = Instance::start(&database).await;
    let keys = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET));
    let two = Instance::with(&database, SessionLayer::builder(keys)).await;
    let visitor = one.login().await;
    let logouts = (0..8).map(|number| {
        let (mut copy, app) = (visitor.clone(), [&one, &two][number % 2].app.clone());
        async move { copy.get(&app, "/logout").await.status }
    });
    let statuses = join_all(logouts).await;
    assert_eq!(statuses, [StatusCode::OK; 8]);
    assert_eq!(rows(&database).await.len(), 1);
    for (instance, count) in [(&one, 2), (&two, 4)] {
        // two ends of an owner at the same millisecond are one row
        tokio::time::sleep(Duration::from_millis(2)).await;
        instance.layer.revoke_owner("ada").await.expect("a log");
        assert_eq!(rows(&database).await.len(), count);
    }
}

async fn rows_contain_no_owner_no_id_and_no_cookie(database: Backend) {
    let instance = Instance::start(&database).await;
    let mut canaries = vec![b"canary".to_vec()];
    for end in ["/logout", "/renew"] {
        let mut visitor = Visitor::default();
        let answer = visitor.get(&instance.app, "/login/canary").await;
        let session = testing::received(&instance.layer, &answer.headers).expect("a session");
        let id = *session.id().expect("an id").as_bytes();
        canaries.extend(id.windows(6).map(<[u8]>::to_vec));
        canaries.push(visitor.jar[NAME].as_bytes()[7..40].to_vec());
        visitor.get(&instance.app, end).await;
    }
    instance.layer.revoke_owner("canary").await.expect("a log");
    let rows = rows(&database).await;
    assert!(rows.len() >= 3, "{}", rows.len());
    for (name, entry) in &rows {
        assert!(matches!(name.len(), 8 | 16));
        assert_eq!(entry.len(), 1 + name.len() + 8);
        let contains = |canary: &[u8]| entry.windows(canary.len()).any(|part| part == canary);
        assert!(contains(name));
        let found = canaries.iter().find(|canary| contains(canary));
        assert_eq!(found, None);
    }
}

/// In servers, the user may not create tables.
async fn missing_table_is_told_and_the_sql_creates_it(database: Backend) {
    let Backend::Sql(engine, name) = &database else {
        let url = database.url();
        let file = sqlx::SqliteConnection::connect(&format!("{url}?mode=rwc"));
        let created = sqlx::raw_sql(SqliteStore::REVOCATIONS_SCHEMA)
            .execute(&mut file.await.expect("a file"))
            .await;
        created.expect("the table");
        let read_only = Revocations::connect(&format!("{url}?mode=ro")).await;
        assert!(read_only.expect("a log").is_empty());
        return;
    };
    let server = shared(*engine);
    let (administrator, user, schema, grant) = match engine {
        Engine::Postgres => (
            "//postgres@",
            format!("create user {name}_app; revoke create on schema public from public"),
            PostgresStore::REVOCATIONS_SCHEMA,
            format!("grant select, insert, delete on session_revocations to {name}_app"),
        ),
        Engine::MariaDb => (
            "//root@",
            format!(
                "create user {name}_app@'127.0.0.1'; \
                 grant select, insert, delete on {name}.* to {name}_app@'127.0.0.1'"
            ),
            MySqlStore::REVOCATIONS_SCHEMA,
            String::new(),
        ),
    };
    server.execute(name, &user).await;
    let url = database
        .url()
        .replace(administrator, &format!("//{name}_app@"));
    let error = Revocations::connect(&url).await.expect_err("no right");
    assert_eq!(error.kind(), StoreErrorKind::Denied);
    assert!(error.to_string().contains("REVOCATIONS_SCHEMA"), "{error}");

    server.execute(name, schema).await;
    server.execute(name, schema).await;
    if !grant.is_empty() {
        server.execute(name, &grant).await;
    }
    let log = Revocations::connect(&url).await.expect("a table");
    let builder = SessionLayer::builder(keys()).revocations(log);
    built(builder).revoke_owner("ada").await.expect("a log");
    assert_eq!(rows(&database).await.len(), 1);
}
