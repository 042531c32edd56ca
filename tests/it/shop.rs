//! Edge cases of the login example's forms, without a browser.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

use crate::{
    browser::login,
    support::{Answer, Visitor, layer, send},
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
