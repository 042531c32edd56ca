//! The sessions of an owner, while they move from one store to another.

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use tower_sealed_session::{Error, Session, SessionLayer, store::MemoryStore};

use super::two_stores::stages;
use crate::{logout, support::Visitor};

fn app(layer: SessionLayer) -> Router {
    async fn names(session: Session, State(layer): State<SessionLayer>) -> Result<String, Error> {
        let mut lines = String::new();
        for owned in layer.list_owner("ada").await? {
            let here = if owned.is(&session) { "*" } else { "" };
            lines += &format!("{here}{} ", owned.name());
        }
        Ok(lines)
    }
    async fn end(
        State(layer): State<SessionLayer>,
        Path(name): Path<String>,
    ) -> Result<String, Error> {
        Ok(layer.delete_session("ada", &name).await?.to_string())
    }
    async fn others(session: Session, State(layer): State<SessionLayer>) -> Result<String, Error> {
        Ok(layer
            .delete_owner_except("ada", &session)
            .await?
            .to_string())
    }
    Router::new()
        .route("/names", get(names))
        .route("/end/{name}", get(end))
        .route("/others", get(others))
        .with_state(layer.clone())
        .layer(layer.clone())
        .merge(logout::app(layer))
}

/// Two visitors whose session has moved, and two whose session has not.
async fn four(stages: &[Router; 4]) -> Vec<Visitor> {
    let [before, _, moving, _] = stages;
    let mut visitors = vec![Visitor::default(); 4];
    for (n, visitor) in visitors.iter_mut().enumerate() {
        visitor.get(before, "/login,cart").await;
        if n < 2 {
            visitor.get(moving, "/see").await;
        }
    }
    visitors
}

async fn see(app: &Router, visitor: &Visitor) -> bool {
    let sees = visitor.clone().get(app, "/see").await.body;
    assert!(
        ["None []", r#"Some("ada") ["cart"]"#].contains(&&*sees),
        "{sees}"
    );
    sees != "None []"
}

#[tokio::test]
async fn owner_is_deleted_from_both_stores_in_either_configuration() {
    for by in [1, 2] {
        let (old, new) = (MemoryStore::new(), MemoryStore::new());
        let layers = stages(&old, &new);
        let apps = layers.clone().map(app);
        let visitors = four(&apps).await;
        let mut bob = Visitor::default();
        bob.get(&apps[0], "/bob").await;
        assert_eq!(layers[by].delete_owner("ada").await.expect("a store"), 4);
        for visitor in &visitors {
            for instance in &apps {
                assert!(!see(instance, visitor).await);
            }
        }
        assert_eq!(layers[by].delete_owner("ada").await.expect("a store"), 0);
        assert_eq!(bob.get(&apps[2], "/see").await.body, r#"Some("bob") []"#);
    }
}

#[tokio::test]
async fn owner_sees_each_session_once_and_ends_one_by_its_name_before_the_move() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let apps = stages(&old, &new).map(app);
    let moving = &apps[2];
    let mut visitors = four(&apps).await;
    let listed = visitors[0].get(moving, "/names").await.body;
    let names: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(names.len(), 4, "{listed}");
    assert_eq!(names.iter().filter(|name| name.starts_with('*')).count(), 1);
    // a store that is given twice is one store
    let twice = app(super::two_stores::plain()
        .store(new.clone())
        .read_from(new.clone()));
    assert_eq!(
        visitors[0]
            .get(&twice, "/names")
            .await
            .body
            .split_whitespace()
            .count(),
        2
    );

    // the name of a session before it moved, to either side, still ends it
    let listed = visitors[3].get(&apps[0], "/names").await.body;
    let name = listed
        .split_whitespace()
        .find_map(|name| name.strip_prefix('*'));
    let path = format!("/end/{}", name.expect("this one"));
    for instance in [&apps[2], &apps[1], &apps[2]] {
        visitors[3].get(instance, "/see").await;
    }
    for (n, wanted) in ["true", "false"].into_iter().enumerate() {
        assert_eq!(visitors[0].get(&apps[1 + n], &path).await.body, wanted);
    }
    let mut alive = Vec::new();
    for visitor in &visitors {
        alive.push(see(moving, visitor).await);
    }
    assert_eq!(alive, [true, true, true, false]);
    let mut mallory = Visitor::default();
    mallory.get(moving, "/bob").await;
    let count = visitors[0].get(moving, "/names").await.body;
    assert_eq!(count.split_whitespace().count(), 3);
}

/// The request came with the ticket from before the move.
#[tokio::test]
async fn session_of_the_request_is_spared_wherever_it_is() {
    for (n, instance) in [(0, 2), (3, 2), (0, 1), (3, 1)] {
        let (old, new) = (MemoryStore::new(), MemoryStore::new());
        let apps = stages(&old, &new).map(app);
        let mut visitors = four(&apps).await;
        let first = visitors[n].clone();
        visitors[n].get(&apps[2], "/see").await;
        let deleted = first.clone().get(&apps[instance], "/others").await.body;
        assert_eq!(deleted, "3", "{n} {instance}");
        for (other, visitor) in visitors.iter().enumerate() {
            assert_eq!(see(&apps[2], visitor).await, other == n, "{n} {instance}");
        }
    }
}
