//! The whole session as a struct in the encrypted cookie. The cookie has no `Max-Age`; the lifetime
//! of one day is inside.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};
use seshcookie::{Session, SessionConfig, SessionKeys, SessionLayer};

use crate::contestants::{Answer, Contestant, Large, Medium, OK, Size, Small, Values, is_known};

pub const SESHCOOKIE: Contestant = Contestant {
    name: "seshcookie",
    cookie: "session",
    app: |size| match size {
        Size::Small => app::<Small>(),
        Size::Medium => app::<Medium>(),
        Size::Large => app::<Large>(),
    },
};

fn app<T: Values>() -> Router {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("entropy");
    let keys = SessionKeys::new(&key).expect("32 bytes are enough");
    let layer = SessionLayer::<T>::new(keys, SessionConfig::default()).expect("the defaults");
    Router::new()
        .route("/untouched", get(async || OK))
        .route("/read", get(read::<T>))
        .route("/write", get(write::<T>))
        .route("/new", get(new::<T>))
        .route("/new-by-value", get(new_by_value::<T>))
        .with_state(Arc::new(T::new()))
        .layer(layer)
}

async fn read<T: Values>(session: Session<T>) -> Answer {
    let values = session.get().await;
    is_known(values.map(|mut values| *values.user_id()))
}

async fn write<T: Values>(session: Session<T>) -> Answer {
    let user_id = session.modify(|values| {
        let user_id = values.as_mut()?.user_id();
        let old = *user_id;
        *user_id += 1;
        Some(old)
    });
    is_known(user_id.await)
}

async fn new<T: Values>(State(values): State<Arc<T>>, session: Session<T>) -> Answer {
    session.insert(T::clone(&values)).await;
    OK
}

async fn new_by_value<T: Values>(State(values): State<Arc<T>>, session: Session<T>) -> Answer {
    for copy in T::COPY {
        let set = |payload: &mut Option<T>| copy(payload.get_or_insert_default(), &values);
        session.modify(set).await;
    }
    OK
}
