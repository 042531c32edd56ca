//! The time by the clocks of a store's servers.

use std::time::Duration;

use tower_sealed_session::{
    OffsetDateTime,
    store::{Operate as _, clock_skew},
};

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
    let skew = clock_skew(&store).await.expect("answers");
    assert_eq!(skew.map_or(0, |skew| skew.servers), wanted);
    if let Some(skew) = skew {
        // the servers are on this machine
        assert!(skew.at_least() <= Duration::from_millis(1), "{skew:?}");
        assert!(skew.uncertainty < Duration::from_secs(1), "{skew:?}");
    }
}
