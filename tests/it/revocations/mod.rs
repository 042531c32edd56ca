//! Sessions in cookies with a log of revocations.

mod ends;
mod owners;
mod socket;

use std::time::Duration;

use axum::Router;
use tower_sealed_session::{
    Revocations, SessionLayer, SessionLayerBuilder, store::MemoryStore, testing, testing::TestClock,
};

use crate::{
    logout::app,
    support::{Answer, Visitor, keys},
};

/// Longer than an instance takes to read the log.
const READ: Duration = Duration::from_millis(100);

/// Instances of one app, which share nothing but their secrets, a clock and a log in memory.
struct Instances {
    store: MemoryStore,
    clock: TestClock,
}

struct Instance {
    app: Router,
    layer: SessionLayer,
    log: Revocations,
}

impl Instances {
    fn new() -> Self {
        let start = time::OffsetDateTime::from_unix_timestamp(1_800_000_000);
        Self {
            store: MemoryStore::new(),
            clock: TestClock::at(start.expect("in range")),
        }
    }

    async fn start(&self) -> Instance {
        self.start_with(|builder| builder).await
    }

    async fn start_with(
        &self,
        set: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    ) -> Instance {
        let log = Revocations::sharing(&self.store).await.expect("a log");
        let builder = SessionLayer::builder(keys()).clock(self.clock.clone());
        let builder = testing::as_another_process(set(builder)).revocations(log.clone());
        let layer = builder.build().expect("valid settings");
        Instance {
            app: app(layer.clone()),
            layer,
            log,
        }
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::sleep(READ).await;
    }
}

impl Instance {
    /// What a visitor with a copy of these cookies sees.
    async fn sees(&self, copy: &Visitor) -> String {
        self.answer(copy, "/see").await.body
    }

    /// The answer to a visitor with a copy of these cookies.
    async fn answer(&self, copy: &Visitor, path: &str) -> Answer {
        copy.clone().get(&self.app, path).await
    }
}
