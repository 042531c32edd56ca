//! The layer with other layers, nested in itself, and in plain Tower.

use std::convert::Infallible;

use axum::{
    Router,
    http::{Extensions, Request, Response},
    routing::get,
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_cookies::{Cookie, CookieManagerLayer, Cookies};
use tower_sealed_session::{Error, ErrorKind, KeyRing, SameSite, Session, SessionLayer};

use crate::support::{
    Events, NAME, OTHER_SECRET, Visitor, get_with, keys, layer, on_a_clock, secret,
};

async fn count(session: Session) -> Result<String, Error> {
    session
        .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
        .map(|n| n.to_string())
}

fn named(name: &str) -> SessionLayer {
    SessionLayer::builder(keys())
        .name(name)
        .build()
        .expect("valid settings")
}

#[tokio::test]
async fn works_with_tower_cookies_in_either_order() {
    async fn both(session: Session, cookies: axum::Extension<Cookies>) -> Result<String, Error> {
        let theme = cookies.get("theme").map(|cookie| cookie.value().to_owned());
        cookies.add(Cookie::new("theme", "dark"));
        Ok(format!(
            "{} {}",
            count(session).await?,
            theme.unwrap_or_default()
        ))
    }
    let routes = || Router::new().route("/", get(both));
    let inside = routes().layer(CookieManagerLayer::new()).layer(layer());
    let outside = routes().layer(layer()).layer(CookieManagerLayer::new());
    for app in [inside, outside] {
        let mut visitor = Visitor::default();
        assert_eq!(visitor.get(&app, "/").await.body, "1 ");
        let answer = visitor.get(&app, "/").await;
        assert_eq!(answer.body, "2 dark");
        assert_eq!(answer.cookies().len(), 2);
        assert_eq!(visitor.get(&app, "/").await.body, "3 dark");
    }
}

#[tokio::test]
async fn inner_layer_of_the_same_name_does_nothing() {
    let events = Events::capture();
    let layer = layer();
    let again = SessionLayer::new(keys());
    for inner in [layer.clone(), again] {
        let app = Router::new()
            .route("/", get(count))
            .layer(inner)
            .layer(layer.clone());
        let mut visitor = Visitor::default();
        for wanted in ["1", "2"] {
            let answer = visitor.get(&app, "/").await;
            assert_eq!((&*answer.body, answer.cookies().len()), (wanted, 1));
        }
    }
    assert!(!events.drain().contains(&"nested".to_owned()));
}

#[tokio::test]
async fn different_settings_of_an_inner_layer_are_ignored_with_an_event() {
    let builder = || SessionLayer::builder(keys());
    let minute = std::time::Duration::from_secs(60);
    let others = [
        SessionLayer::builder(KeyRing::new(secret(OTHER_SECRET))),
        SessionLayer::builder(keys().fallback(secret(OTHER_SECRET))),
        builder().same_site(SameSite::Strict),
        builder().idle_timeout(minute),
        builder().browser_session(true),
    ];
    for inner in others {
        let inner = inner.build().expect("valid settings");
        let app = Router::new()
            .route("/", get(count))
            .layer(inner)
            .layer(layer());
        let events = Events::capture();
        let mut visitor = Visitor::default();
        assert_eq!(visitor.get(&app, "/").await.body, "1");
        assert!(events.drain().contains(&"nested".to_owned()));
        visitor.get(&app, "/").await;
        assert!(
            !events.drain().contains(&"nested".to_owned()),
            "the event is emitted once"
        );
        let outer_alone = Router::new().route("/", get(count)).layer(layer());
        assert_eq!(visitor.get(&outer_alone, "/").await.body, "3");
    }
}

/// The inner session is already ended or renewed, so its cookie must be sent although the outer
/// layer fails.
#[tokio::test]
async fn cookies_of_inner_layers_are_sent_when_an_outer_layer_fails() {
    let (builder, clock) = on_a_clock();
    let outermost = builder.name("outermost").build().expect("valid settings");
    let outer = SessionLayer::builder(keys())
        .name("outer")
        .clock(clock.clone());
    let outer = outer.build().expect("valid settings");
    let handler =
        move |session: Session, extensions: Extensions, what: axum::extract::Path<String>| {
            let clock = clock.clone();
            async move {
                for name in ["__Host-Http-outer", "__Host-Http-outermost"] {
                    Session::named(&extensions, name).await?.insert("a", 1)?;
                }
                clock.set(time::OffsetDateTime::UNIX_EPOCH - time::Duration::SECOND);
                match &**what {
                    "logout" => session.logout(),
                    "login" => session.login("ada")?,
                    _ => drop(session.keys()),
                }
                Ok::<_, Error>([("set-cookie", "theirs=1")])
            }
        };
    let app = Router::new()
        .route("/{what}", get(handler))
        .layer(layer())
        .layer(outer)
        .layer(outermost);
    let read = get_with(&app, "/look", &[]).await;
    assert!(read.status == 500 && read.sets_nothing());
    for what in ["login", "logout"] {
        let answer = get_with(&app, &format!("/{what}"), &[]).await;
        assert_eq!(answer.status, 500);
        let cookies = answer.cookies();
        assert_eq!(cookies.len(), 1, "{what}");
        assert_eq!(
            (cookies[0].name(), answer.removes()),
            (NAME, what == "logout")
        );
    }
}

#[tokio::test]
async fn layers_with_different_names_are_independent() {
    async fn three(session: Session, extensions: Extensions) -> Result<String, Error> {
        let admin = Session::named(&extensions, "__Host-Http-admin").await?;
        let shop = Session::named(&extensions, "__Host-Http-shop").await?;
        let missing = Session::named(&extensions, "shop")
            .await
            .expect_err("no such layer");
        assert_eq!(missing.kind(), ErrorKind::MissingLayer);
        admin.login("root")?;
        Ok(format!("{} {}", count(session).await?, shop.len()))
    }
    let app = Router::new()
        .route("/three", get(three))
        .route(
            "/admin",
            get(|session: Session| async move { session.owner().unwrap_or_default() })
                .layer(named("admin")),
        )
        .layer(named("inner"))
        .layer(named("admin"))
        .layer(named("shop"));
    let mut visitor = Visitor::default();
    let answer = visitor.get(&app, "/three").await;
    assert_eq!(answer.body, "1 0");
    let mut names: Vec<_> = answer
        .cookies()
        .iter()
        .map(|cookie| cookie.name().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["__Host-Http-admin", "__Host-Http-inner"]);
    assert_eq!(answer.header("vary"), ["Cookie"]);
    assert_eq!(answer.header("cache-control"), ["no-store"]);
    assert_eq!(visitor.get(&app, "/three").await.body, "2 0");
    assert_eq!(
        visitor.get(&app, "/admin").await.body,
        "",
        "the innermost session is `inner`"
    );
}

#[tokio::test]
async fn session_is_opened_once_per_request() {
    async fn twice(one: Session, two: Session) -> Result<String, Error> {
        one.insert("a", 1)?;
        Ok(two.get::<u8>("a")?.unwrap_or_default().to_string())
    }
    let app = Router::new().route("/", get(twice)).layer(layer());
    let events = Events::capture();
    let answer = get_with(&app, "/", &[format!("{NAME}=garbage").as_bytes()]).await;
    assert_eq!(answer.body, "1");
    assert_eq!(events.drain(), ["rejected garbage", "created"]);
}

/// A service without axum, with its own body types and a future that is not `Send`.
#[tokio::test]
async fn plain_tower_needs_no_send_and_no_body_bounds() {
    #[derive(Default)]
    struct Theirs(std::rc::Rc<str>);
    struct Request1(#[allow(dead_code)] std::rc::Rc<u8>);

    let service = layer().layer(service_fn(async |request: Request<Request1>| {
        let not_send = std::rc::Rc::new(());
        let session = Session::from_extensions(request.extensions())
            .await
            .expect("a layer");
        drop(not_send);
        let n: u64 = session.update("n", |n| n.unwrap_or(0) + 1).expect("small");
        Ok::<_, Infallible>(Response::new(Theirs(format!("visit {n}").into())))
    }));
    let mut cookie = None;
    for wanted in ["visit 1", "visit 2"] {
        let mut request = Request::new(Request1(std::rc::Rc::new(0)));
        if let Some(cookie) = cookie.take() {
            request.headers_mut().insert("cookie", cookie);
        }
        let response = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(&*response.body().0, wanted);
        let line = response.headers()["set-cookie"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        cookie = Some(
            line.split(';')
                .next()
                .expect("a pair")
                .parse()
                .expect("a header"),
        );
    }
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_through() {
    #[derive(Debug, PartialEq)]
    struct Theirs;
    let service = layer().layer(service_fn(async |request: Request<()>| {
        let session = Session::from_extensions(request.extensions())
            .await
            .expect("a layer");
        session.insert("a", 1).expect("small");
        Err::<Response<()>, _>(Theirs)
    }));
    assert_eq!(
        service.oneshot(Request::new(())).await.expect_err("theirs"),
        Theirs
    );
}

#[test]
fn only_the_axum_feature_depends_on_axum() {
    let tree = |features: &[&str]| {
        let output = std::process::Command::new(env!("CARGO"))
            .args([
                "tree",
                "--quiet",
                "--offline",
                "--locked",
                "--package=tower-sealed-session",
                "-e",
                "normal",
                "--prefix",
                "none",
            ])
            .args(features)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(tree(&[]).contains("axum-core"));
    assert!(!tree(&["--no-default-features"]).contains("axum"));
}
