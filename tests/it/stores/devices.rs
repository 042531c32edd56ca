//! The sessions of one owner: listed, and ended one by one or all but one.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use fantoccini::Locator;
use tower_sealed_session::{Error, ErrorKind, KeyRing, Session, SessionLayer};

use super::{
    backend::{Backend, built, on_every_store},
    processes::start,
};
use crate::{
    browser::{Browser, Outcome},
    support::{OTHER_SECRET, SECRET, Visitor, layer, on_a_clock, secret},
};

on_every_store! {
    owner_sees_own_sessions_and_ends_one;
    all_but_the_session_of_the_request_end;
}

fn app(layer: SessionLayer) -> Router {
    async fn login(
        session: Session,
        Path((owner, device)): Path<(String, String)>,
    ) -> Result<(), Error> {
        session.login(owner)?;
        session.insert("device", device)
    }
    /// One line for each session: its device, `*` if it is this one, its age in seconds, the time
    /// since its last use, and its name.
    async fn list(session: Session, State(layer): State<SessionLayer>) -> Result<String, Error> {
        let owner = session.owner().unwrap_or_default();
        let now = session.expires_at() - Duration::from_secs(3600);
        let mut page = String::new();
        for owned in layer.list_owner(&owner).await? {
            let view = owned.view();
            assert_eq!(view.owner(), Some(owner.clone()));
            let device: Option<String> = view.get("device")?;
            page += &format!(
                "{}{} {} {} {}\n",
                device.unwrap_or_default(),
                if owned.is(&session) { "*" } else { "" },
                (now - view.created_at()).whole_seconds(),
                (now - owned.last_used_at()).whole_seconds(),
                owned.name(),
            );
        }
        Ok(page)
    }
    async fn end(
        session: Session,
        State(layer): State<SessionLayer>,
        Path(name): Path<String>,
    ) -> Result<String, Error> {
        let owner = session.owner().unwrap_or_default();
        Ok(layer.delete_session(&owner, &name).await?.to_string())
    }
    async fn others(
        session: Session,
        State(layer): State<SessionLayer>,
        Path(how): Path<String>,
    ) -> Result<String, Error> {
        match &*how {
            "login" => session.login("ada")?,
            "commit" => {
                session.login("ada")?;
                session.commit().await?;
            }
            "renew" => session.renew(),
            _ => {}
        }
        let owner = session.owner().unwrap_or_default();
        Ok(layer
            .delete_owner_except(&owner, &session)
            .await?
            .to_string())
    }
    Router::new()
        .route("/login/{owner}/{device}", get(login))
        .route("/list", get(list))
        .route("/end/{name}", get(end))
        .route("/others/{how}", get(others))
        .route("/renew", get(async |session: Session| session.renew()))
        .route(
            "/write",
            get(async |session: Session| session.insert("a", 1)),
        )
        .route(
            "/who",
            get(async |session: Session| session.owner().unwrap_or_default()),
        )
        .with_state(layer.clone())
        .layer(layer)
}

/// The lines of a list, without the names, and the names.
fn parts(list: &str) -> (Vec<&str>, Vec<&str>) {
    let parts = list
        .lines()
        .map(|line| line.rsplit_once(' ').expect("a name"));
    parts.unzip()
}

async fn owner_sees_own_sessions_and_ends_one(backend: Backend) {
    let (builder, clock) = on_a_clock();
    let first = app(built(builder).store(backend.open().await));
    let rotated = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET));
    let rotated = SessionLayer::builder(rotated).clock(clock.clone());
    let second = app(built(rotated).store(backend.open().await));
    let [mut phone, mut laptop, mut tablet, mut bob, mut nobody] =
        std::array::from_fn(|_| Visitor::default());
    nobody.get(&first, "/write").await;
    phone.get(&first, "/login/ada/phone").await;
    bob.get(&first, "/login/bob/desk").await;
    clock.advance(Duration::from_secs(1000));
    laptop.get(&first, "/login/ada/laptop").await;
    clock.advance(Duration::from_secs(1000));
    tablet.get(&second, "/login/ada/tablet").await;
    phone.get(&first, "/write").await;
    clock.advance(Duration::from_secs(100));

    // the second instance opens the sessions of both secrets
    let list = laptop.get(&second, "/list").await.body;
    let (devices, names) = parts(&list);
    // those that were used last come first; this request counts when it ends
    assert_eq!(devices[2], "laptop* 1100 1100", "{list}");
    let mut others = devices[..2].to_vec();
    others.sort_unstable();
    assert_eq!(others, ["phone 2100 100", "tablet 100 100"]);
    assert!(names.iter().all(|name| name.len() == 32), "{list}");
    let of = |device: &str| {
        let at = devices.iter().position(|line| line.starts_with(device));
        names[at.expect("it is listed")]
    };
    assert_eq!(nobody.get(&second, "/list").await.body, "");

    // a renewal keeps the name
    phone.get(&second, "/renew").await;
    let (_, after) = (list.clone(), laptop.get(&second, "/list").await.body);
    assert!(after.contains(of("phone")), "{after}");

    // others, and names of nothing, end nothing
    let bobs = bob.get(&second, "/list").await.body;
    let (_, bobs) = parts(&bobs);
    for name in [
        bobs[0],
        "",
        "x",
        &"0".repeat(32),
        &"é".repeat(16),
        &of("phone")[..31],
    ] {
        let path = format!("/end/{}", urlencoded(name));
        let answer = laptop.get(&second, &path).await;
        assert!(answer.body == "false" || name.is_empty(), "{name}");
    }
    assert_eq!(bob.get(&second, "/who").await.body, "bob");

    let path = format!("/end/{}", of("phone"));
    assert_eq!(laptop.get(&second, &path).await.body, "true");
    assert_eq!(phone.get(&first, "/who").await.body, "");
    assert_eq!(laptop.get(&second, &path).await.body, "false");
    assert_eq!(tablet.get(&second, "/who").await.body, "ada");

    // the tablet's session expires
    for _ in 0..2 {
        clock.advance(Duration::from_secs(2500));
        assert_eq!(laptop.get(&second, "/who").await.body, "ada");
    }
    let list = laptop.get(&second, "/list").await.body;
    assert_eq!(parts(&list).0, ["laptop* 6100 0"]);
}

fn urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

async fn all_but_the_session_of_the_request_end(backend: Backend) {
    let layer = built(SessionLayer::builder(crate::support::keys())).store(backend.open().await);
    let app = app(layer);
    let mut ended = 3;
    let mut laptop = Visitor::default();
    laptop.get(&app, "/login/ada/laptop").await;
    let mut bob = Visitor::default();
    bob.get(&app, "/login/bob/desk").await;
    for how in ["stay", "renew", "login", "commit"] {
        let mut others: [Visitor; 3] = std::array::from_fn(|_| Visitor::default());
        for other in &mut others {
            other.get(&app, "/login/ada/other").await;
        }
        let mut copy = laptop.clone();
        let answer = laptop.get(&app, &format!("/others/{how}")).await;
        assert_eq!(answer.body, ended.to_string(), "{how}");
        for other in &mut others {
            assert_eq!(other.get(&app, "/who").await.body, "", "{how}");
        }
        assert_eq!(laptop.get(&app, "/who").await.body, "ada", "{how}");
        assert_eq!(bob.get(&app, "/who").await.body, "bob", "{how}");
        let copied = copy.get(&app, "/who").await.body;
        assert_eq!(copied, if how == "stay" { "ada" } else { "" }, "{how}");
        ended = 3;
    }
}

#[tokio::test]
async fn without_a_store_nothing_is_listed_or_ended() {
    let layer = layer();
    let session = tower_sealed_session::testing::session(&layer);
    session.login("ada").expect("short");
    let name = "0".repeat(32);
    for error in [
        layer
            .list_owner("ada")
            .await
            .map(drop)
            .expect_err("no store"),
        layer
            .delete_session("ada", &name)
            .await
            .map(drop)
            .expect_err("no store"),
        layer
            .delete_owner_except("ada", &session)
            .await
            .map(drop)
            .expect_err("no store"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_sees_own_devices_in_the_browser_and_ends_the_others() -> Outcome {
    let backend = Backend::postgres().await;
    let server = start(&backend.url());
    let origin = format!("http://localhost:{}", server.port);
    let here = Browser::at_origin(origin.clone()).await?;
    let there = Browser::at_origin(origin).await?;
    here.open("/devices").await?;
    here.find("[action='/login']").await?;
    for browser in [&here, &there] {
        browser.log_in("Ada", false).await?;
    }
    here.open("/devices").await?;
    here.wait_for("this device").await?;
    assert_eq!(listed(&here).await?, 2);
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        let file = std::path::Path::new(&folder).join("devices.png");
        std::fs::write(file, here.client.screenshot().await?)?;
    }

    // one of them
    here.click("[action='/devices/end'] button").await?;
    wait_for_one(&here).await?;
    there.open("/devices").await?;
    there.find("[action='/login']").await?;
    there.log_in("Ada", false).await?;

    // all others
    here.click("[action='/devices/end-others'] button").await?;
    wait_for_one(&here).await?;
    assert!(here.shows("this device").await?);
    there.open("/devices").await?;
    there.find("[action='/login']").await?;
    Ok(())
}

/// The number of devices on the page.
async fn listed(browser: &Browser) -> Outcome<usize> {
    let devices = browser.client.find_all(Locator::Css(".devices li"));
    Ok(devices.await?.len())
}

async fn wait_for_one(browser: &Browser) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    while listed(browser).await? != 1 {
        if Instant::now() > deadline {
            return Err("other devices are still listed".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
