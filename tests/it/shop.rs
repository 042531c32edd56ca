//! Edge cases of the login example's forms and pages, without a browser.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use tower_sealed_session::testing;

use crate::{
    browser::login,
    support::{Answer, Visitor, get_with, layer, send},
};

async fn post(visitor: &mut Visitor, app: &axum::Router, path: &str, form: String) -> Answer {
    let request = Request::post(path)
        .header(header::COOKIE, visitor.cookie_line())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form));
    let answer = send(app, request.expect("a request")).await;
    visitor.keep(&answer);
    answer
}

/// With any amount of data in the cart, a login either succeeds or answers 413, but never 500.
#[tokio::test]
async fn login_with_a_full_cart_succeeds_or_answers_413() {
    let app = login::app(layer());
    let mut seen = std::collections::BTreeSet::new();
    for last in 0..40 {
        let mut visitor = Visitor::default();
        for _ in 0..14 {
            post(
                &mut visitor,
                &app,
                "/cart",
                format!("item={}", "x".repeat(195)),
            )
            .await;
        }
        post(
            &mut visitor,
            &app,
            "/cart",
            format!("item={}", "x".repeat(40 + 4 * last)),
        )
        .await;
        let answer = post(
            &mut visitor,
            &app,
            "/login",
            format!("name={}", "n".repeat(60)),
        )
        .await;
        let logged_in = visitor.get(&app, "/me").await.status == StatusCode::OK;
        match answer.status {
            StatusCode::SEE_OTHER => assert!(logged_in),
            StatusCode::PAYLOAD_TOO_LARGE => assert!(!logged_in && answer.sets_nothing()),
            other => panic!("{other}"),
        }
        seen.insert(answer.status);
    }
    assert_eq!(seen.len(), 2, "both answers occur");
}

#[tokio::test]
async fn user_input_is_escaped() {
    let app = login::app(layer());
    let mut visitor = Visitor::default();
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    post(&mut visitor, &app, "/cart", format!("item={script}")).await;
    post(&mut visitor, &app, "/login", format!("name={script}")).await;
    for path in ["/", "/me"] {
        let page = visitor.get(&app, path).await.body;
        assert!(
            page.contains("&lt;script&gt;") && !page.contains("<script"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn empty_name_is_rejected() {
    let app = login::app(layer());
    let answer = post(&mut Visitor::default(), &app, "/login", "name=+".to_owned()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.sets_nothing());
}

#[tokio::test]
async fn login_leads_to_paths_of_this_site_only() {
    let app = login::app(layer());
    for (next, target) in [
        ("%2Fme", "/me"),
        ("", "/"),
        ("me", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        ("%2F%09%2Fevil.example", "/"),
        ("https:%2F%2Fevil.example", "/"),
        ("%2Fme%22%3E%3Cb%3E", "/"),
    ] {
        let form = format!("name=Ada&next={next}");
        let answer = post(&mut Visitor::default(), &app, "/login", form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), [target], "{next}");
        let mut visitor = Visitor::default();
        let page = visitor.get(&app, &format!("/login?next={next}")).await.body;
        assert!(page.contains(&format!("value=\"{target}\">")), "{page}");
    }
    let answer = Visitor::default().get(&app, "/me").await;
    assert_eq!(answer.header("location"), ["/login?next=/me"]);
}

/// Also refusals and errors of the session.
#[tokio::test]
async fn every_page_has_the_security_headers_and_is_no_store() {
    let layer = layer();
    let app = login::app(layer.clone());
    let mut ada = Visitor::default();
    post(&mut ada, &app, "/login", "name=Ada".to_owned()).await;
    let broken = testing::session(&layer);
    broken.insert("cart", "not a list").expect("small");
    let broken = testing::cookie(&layer, &broken).expect("a cookie");
    let cross_site = Request::post("/login").header("sec-fetch-site", "cross-site");
    let cross_site = cross_site.body(Body::empty()).expect("a request");
    for (status, page) in [
        (200, ada.get(&app, "/").await),
        (200, ada.get(&app, "/me").await),
        (200, ada.get(&app, "/login").await),
        (
            422,
            post(&mut ada, &app, "/login", "name=+".to_owned()).await,
        ),
        (403, send(&app, cross_site).await),
        (500, get_with(&app, "/", &[broken.as_bytes()]).await),
    ] {
        assert_eq!(page.status, status);
        assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
        assert!(page.body.contains(r#"href="/""#) || status == 200);
        assert_eq!(page.header("content-type"), ["text/html; charset=utf-8"]);
        assert_eq!(page.header("cache-control"), ["no-store"]);
        let [policy] = page.header("content-security-policy")[..] else {
            panic!("no policy");
        };
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'"));
        assert!(policy.ends_with("frame-ancestors 'none'; base-uri 'none'"));
        assert_eq!(page.header("x-content-type-options"), ["nosniff"]);
        assert_eq!(page.header("referrer-policy"), ["same-origin"]);
    }
    let style = ada.get(&app, "/style.css").await;
    assert_eq!(style.header("cache-control"), ["public, max-age=3600"]);
    assert!(style.header("vary").is_empty() && style.sets_nothing());
}
