//! Where a visitor without a login is sent, and how the visitor comes back.

use axum::http::{Method, StatusCode};
use tower_sealed_session::{ConfigError, SessionLayer, testing};

use super::{NAVIGATES, app, location, request};
use crate::support::{Events, Visitor, get_with, keys, layer};

type Headers = &'static [(&'static str, &'static str)];

async fn led_to(path: &str, method: Method, headers: Headers) -> Option<String> {
    let app = app(layer().login_page("/login"));
    let answer = request(&app, &mut Visitor::default(), method, path, headers).await;
    let status = match location(&answer) {
        Some(_) => StatusCode::SEE_OTHER,
        None => StatusCode::UNAUTHORIZED,
    };
    assert_eq!(answer.status, status);
    assert_eq!(answer.header("cache-control"), ["no-store"]);
    location(&answer).map(str::to_owned)
}

#[tokio::test]
async fn navigations_lead_to_the_login_page_and_other_requests_get_a_401() {
    const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
    let cases: [(Headers, bool); 14] = [
        (&[("sec-fetch-mode", "navigate")], true),
        (&[("sec-fetch-mode", "navigate"), ("accept", "*/*")], true),
        (
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            true,
        ),
        (&[("sec-fetch-mode", "cors")], false),
        (&[("sec-fetch-mode", "cors"), HTML], false),
        (&[("sec-fetch-mode", "no-cors"), HTML], false),
        (&[("sec-fetch-mode", "same-origin"), HTML], false),
        (&[("sec-fetch-mode", "websocket"), HTML], false),
        (&[HTML], true),
        (
            &[("accept", "application/json"), ("accept", "TEXT/HTML")],
            true,
        ),
        (&[("accept", "application/json")], false),
        (&[("accept", "*/*")], false),
        (&[("accept", "")], false),
        (&[], false),
    ];
    for (headers, leads) in cases {
        for path in ["/members", "/me", "/deep/er/x"] {
            let led = led_to(path, Method::GET, headers).await;
            assert_eq!(led.is_some(), leads, "{headers:?}");
            let next = format!("/login?next={path}");
            assert!(led.is_none_or(|led| led == next), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn only_what_can_be_asked_for_again_is_remembered() {
    for (method, remembered) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::POST, false),
        (Method::PUT, false),
        (Method::DELETE, false),
        (Method::OPTIONS, false),
    ] {
        let led = led_to("/members", method.clone(), NAVIGATES).await;
        let wanted = if remembered {
            "/login?next=/members"
        } else {
            "/login"
        };
        assert_eq!(led.as_deref(), Some(wanted), "{method}");
    }
}

#[tokio::test]
async fn whole_path_and_query_are_remembered() {
    for (path, next) in [
        ("/members/a%20b", "/members/a%2520b"),
        ("/members/x?", "/members/x%3F"),
        ("/members?a=1&b=%26+c", "/members%3Fa%3D1%26b%3D%2526%2Bc"),
        (
            "/members?next=//evil.example",
            "/members%3Fnext%3D//evil.example",
        ),
        ("/members/a.b-c_d~e", "/members/a.b-c_d~e"),
        (
            "/members?'(*)!;,:@$",
            "/members%3F%27%28%2A%29%21%3B%2C%3A%40%24",
        ),
        // the router of the route has taken the prefixes off
        ("/deep/er/one/two?x=1", "/deep/er/one/two%3Fx%3D1"),
    ] {
        let led = led_to(path, Method::GET, NAVIGATES).await;
        assert_eq!(led, Some(format!("/login?next={next}")), "{path}");
        // as a login page reads it
        let url = url::Url::parse("https://shop.example").expect("a URL");
        let url = url.join(&led.expect("a page")).expect("a URL");
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs, [("next".to_owned(), path.to_owned())]);
    }
}

#[tokio::test]
async fn too_long_a_path_is_not_remembered() {
    let path = |len: usize| format!("/members/{}", "x".repeat(len - "/members/".len()));
    let led = led_to(&path(2048), Method::GET, NAVIGATES).await;
    assert_eq!(led, Some(format!("/login?next={}", path(2048))));
    let encoded = format!("/members?{}", "+".repeat(1000));
    for path in [path(2049), encoded] {
        assert_eq!(
            led_to(&path, Method::GET, NAVIGATES).await.as_deref(),
            Some("/login")
        );
    }
}

#[tokio::test]
async fn visitor_who_logs_in_comes_to_the_wanted_page() {
    let app = app(layer().login_page("/login"));
    let mut visitor = Visitor::default();
    let wanted = "/members/orders?page=2&sort=a%2Fb";
    let refused = request(&app, &mut visitor, Method::GET, wanted, NAVIGATES).await;
    let page = location(&refused).expect("the login page");
    let logged_in = request(&app, &mut visitor, Method::GET, page, NAVIGATES).await;
    assert_eq!(location(&logged_in), Some(wanted));
    let page = request(&app, &mut visitor, Method::GET, wanted, NAVIGATES).await;
    assert_eq!((page.status, &*page.body), (StatusCode::OK, "orders"));
}

#[tokio::test]
async fn forged_link_to_the_login_page_leads_to_no_other_site() {
    let app = app(layer().login_page("/login"));
    for next in [
        "//evil.example",
        "/%5Cevil.example",
        "https:evil.example",
        "/%09/evil.example",
    ] {
        let answer = get_with(&app, &format!("/login?next={next}"), &[]).await;
        assert_eq!(location(&answer), Some("/"), "{next}");
    }
}

#[tokio::test]
async fn login_page_with_a_query_keeps_it() {
    let app = app(layer().login_page("/start?lang=de"));
    for (path, wanted) in [
        ("/me?a=1", "/start?lang=de&next=/me%3Fa%3D1"),
        ("/members", "/start?lang=de&next=/members"),
    ] {
        let answer = request(&app, &mut Visitor::default(), Method::GET, path, NAVIGATES).await;
        assert_eq!(location(&answer), Some(wanted));
    }
}

/// A browser would be sent there again and again.
#[tokio::test]
async fn login_page_that_is_guarded_does_not_lead_to_itself() {
    for page in ["/me", "/me?lang=de"] {
        let app = app(layer().login_page(page));
        let mut visitor = Visitor::default();
        let answer = request(&app, &mut visitor, Method::GET, "/me?next=/x", NAVIGATES).await;
        assert_eq!(
            (answer.status, location(&answer)),
            (StatusCode::UNAUTHORIZED, None)
        );
        let answer = request(&app, &mut visitor, Method::GET, "/members", NAVIGATES).await;
        assert!(location(&answer).is_some_and(|led| led.starts_with("/me?")));
    }
}

#[tokio::test]
async fn refusal_keeps_what_the_request_changed() {
    let layer = layer().login_page("/login");
    let write = async |session: tower_sealed_session::Session,
                       request: axum::extract::Request,
                       next: axum::middleware::Next| {
        session.insert("wanted", 1).expect("small");
        next.run(request).await
    };
    let app = axum::Router::new()
        .route("/members", axum::routing::get(""))
        .route_layer(tower_sealed_session::require_owner())
        .route_layer(axum::middleware::from_fn(write))
        .layer(layer.clone());
    let mut visitor = Visitor::default();
    let answer = request(&app, &mut visitor, Method::GET, "/members", NAVIGATES).await;
    assert_eq!(location(&answer), Some("/login?next=/members"));
    let session = testing::received(&layer, &answer.headers).expect("a session");
    assert_eq!(session.keys(), ["wanted"]);
}

#[test]
fn page_of_another_site_is_no_login_page() {
    let long = format!("/{}", "x".repeat(2048));
    for page in [
        "",
        "login",
        "//evil.example/login",
        r"/\evil.example",
        "https://evil.example/login",
        "/login#top",
        "/log in",
        "/lögin",
        "/login\r\nx: y",
        "/a/../login",
        &long,
    ] {
        let built = SessionLayer::builder(keys()).login_page(page).build();
        let error = built.expect_err("another site");
        let named = matches!(
            error,
            ConfigError::Invalid {
                setting: "login_page",
                ..
            }
        );
        assert!(named, "{page}: {error}");
        let panic = std::panic::catch_unwind(|| layer().login_page(page)).expect_err("a panic");
        assert_eq!(panic.downcast_ref::<String>(), Some(&error.to_string()));
    }
    for page in ["/", "/login", "/login/", "/login?lang=de", "/a//b"] {
        let built = SessionLayer::builder(keys()).login_page(page).build();
        assert!(built.is_ok(), "{page}");
    }
}

#[tokio::test]
async fn inner_layer_of_the_same_name_with_another_login_page_is_an_event() {
    let layer = layer();
    let events = Events::capture();
    for (outer, inner, warned) in [
        (
            layer.clone().login_page("/a"),
            layer.clone().login_page("/a"),
            false,
        ),
        (
            layer.clone().login_page("/a"),
            layer.clone().login_page("/b"),
            true,
        ),
        (layer.clone(), layer.clone().login_page("/a"), true),
    ] {
        let app = app(inner).layer(outer);
        get_with(&app, "/me", &[]).await;
        let warning = events.drain().contains(&"nested".to_owned());
        assert_eq!(warning, warned);
    }
}
