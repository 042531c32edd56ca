//! What caches are told: every way to look at a session, and every kind of response.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    routing::get,
};
use std::time::Duration;
use tower_sealed_session::{Error, Session, testing};

use crate::support::{get_with, layer};

type Act = fn(&Session) -> Result<(), Error>;

async fn sent(act: Act, cache_control: Option<&'static str>) -> (Vec<String>, Vec<String>, bool) {
    let layer = layer();
    let session = testing::session(&layer);
    session.login("ada").expect("short");
    session.insert("a", 1).expect("small");
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    let handler = move |session: Session| async move {
        act(&session)?;
        let value =
            cache_control.map(|value| (header::CACHE_CONTROL, HeaderValue::from_static(value)));
        Ok::<_, Error>(HeaderMap::from_iter(value))
    };
    let app = Router::new().route("/", get(handler)).layer(layer);
    let answer = get_with(&app, "/", &[cookie.as_bytes()]).await;
    let header = |name| answer.header(name).into_iter().map(str::to_owned).collect();
    (
        header("vary"),
        header("cache-control"),
        !answer.sets_nothing(),
    )
}

#[tokio::test]
async fn every_look_at_a_session_varies_by_cookie() {
    let looks: [Act; 15] = [
        |_| Ok(()),
        |s| s.get::<u8>("a").map(drop),
        |s| s.get::<u8>("missing").map(drop),
        |s| s.read::<serde_json::Value>().map(drop),
        |s| s.take::<u8>("missing").map(drop),
        |s| {
            s.contains_key("missing");
            Ok(())
        },
        |s| {
            s.keys();
            Ok(())
        },
        |s| {
            s.len();
            Ok(())
        },
        |s| {
            s.is_empty();
            Ok(())
        },
        |s| s.id().map(drop),
        |s| {
            s.created_at();
            Ok(())
        },
        |s| {
            s.expires_at();
            Ok(())
        },
        |s| {
            s.owner();
            Ok(())
        },
        |s| {
            s.remove("missing");
            Ok(())
        },
        |s| s.insert("a", 1),
    ];
    for (n, look) in looks.into_iter().enumerate() {
        let vary = vec!["Cookie".to_owned()];
        assert_eq!(
            sent(look, None).await,
            (vary.clone(), vec!["private".to_owned()], false),
            "{n}"
        );
        let public = sent(look, Some("public, max-age=60")).await;
        assert_eq!(
            public,
            (vary, vec!["public, max-age=60".to_owned()], false),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_response_with_our_cookie_is_not_stored() {
    let writes: [(Act, &str); 8] = [
        (|s| s.insert("a", 2), "private, max-age=60"),
        (
            |s| {
                s.remove("a");
                Ok(())
            },
            "private, max-age=60",
        ),
        (|s| s.take::<u8>("a").map(drop), "private, max-age=60"),
        (
            |s| s.update("a", |n: Option<u8>| n.unwrap_or(0) + 1).map(drop),
            "private, max-age=60",
        ),
        (
            |s| {
                s.renew();
                Ok(())
            },
            "private, max-age=60",
        ),
        (
            |s| {
                s.remember(Duration::from_secs(60));
                Ok(())
            },
            "private, max-age=60",
        ),
        (|s| s.login("eve"), "no-store"),
        (
            |s| {
                s.logout();
                Ok(())
            },
            "no-store",
        ),
    ];
    for (n, (write, private)) in writes.into_iter().enumerate() {
        for (said, wanted) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private, max-age=60"), private),
            (Some("no-store"), "no-store"),
        ] {
            let (vary, cache_control, sets) = sent(write, said).await;
            assert_eq!(
                (&*vary, &*cache_control, sets),
                (&["Cookie".to_owned()][..], &[wanted.to_owned()][..], true),
                "{n} {said:?}"
            );
        }
    }
}

/// An inner layer that was only looked at says `private`; that is not the application's word.
#[tokio::test]
async fn nested_layers_do_not_weaken_each_other() {
    async fn both(session: Session, extensions: axum::http::Extensions) -> Result<(), Error> {
        session.len();
        Session::named(&extensions, "__Host-outer")
            .await?
            .insert("a", 1)
    }
    let outer = tower_sealed_session::SessionLayer::builder(crate::support::keys()).name("outer");
    let app = Router::new()
        .route("/", get(both))
        .layer(layer())
        .layer(outer.build().expect("possible"));
    let answer = get_with(&app, "/", &[]).await;
    assert_eq!(answer.cookies().len(), 1);
    assert_eq!(answer.header("cache-control"), ["no-store"]);
}
