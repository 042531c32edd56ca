//! The time by the clocks of a store's servers.

use tower_sealed_session::{OffsetDateTime, store::Operate as _};

use super::backend::{Backend, on_every_store};

on_every_store! {
    each_server_tells_the_time;
}

async fn each_server_tells_the_time(backend: Backend) {
    let store = backend.open().await;
    let mut servers = 0;
    loop {
        let before = OffsetDateTime::now_utc();
        let Some(time) = store.server_time(servers).await.expect("an answer") else {
            break;
        };
        // rounded down to a millisecond, by the clock of this machine
        let before = before - std::time::Duration::from_millis(1);
        assert!(
            before <= time && time <= OffsetDateTime::now_utc(),
            "{time}"
        );
        servers += 1;
    }
    let wanted = match backend {
        Backend::Memory(_) | Backend::Sqlite(_) => 0,
        Backend::Cluster(_) => 3,
        _ => 1,
    };
    assert_eq!(servers, wanted);
}
