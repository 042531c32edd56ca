//! The public suite on our own stores, and that it finds what a store does wrong.

use tower_sealed_session::store::conformance;

use super::backend::{Backend, on_every_store};

on_every_store! {
    keeps_its_promises;
}

async fn keeps_its_promises(backend: Backend) {
    conformance::check(async || backend.open().await).await;
    conformance::check_operate(async || backend.open().await).await;
}
