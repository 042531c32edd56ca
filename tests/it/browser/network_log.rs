//! What only Chromium's network log shows.

use std::{collections::HashMap, time::Instant};

use axum::{Router, response::Html, routing::get};
use fantoccini::wd::WebDriverCompatibleCommand;
use http::{Method, header::SET_COOKIE};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::{Browser, Outcome, PATIENCE, PERIOD};

#[tokio::test]
async fn browser_accepts_every_cookie() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.add_to_cart("Assam").await?;
    shop.log_in("Ada", true).await?;
    shop.log_out().await?;

    // the cart, the login, the notice shown, the logout
    let sets = |seen: &Response| seen.session().is_some();
    let seen = shop.responses_until(4, sets).await?;
    assert_eq!(refused(&seen), [&Value::Null; 0]);

    let last = seen.iter().filter_map(Response::session).next_back();
    let removal = last.expect("one of four");
    assert!(removal.starts_with(';'), "{removal}");
    assert!(removal.contains("; Max-Age=0;"), "{removal}");
    Ok(())
}

#[tokio::test]
async fn refused_cookies_are_detected() -> Outcome {
    let careless = || async { ([(SET_COOKIE, "__Host-Http-x=1")], Html("<p>Take it.")) };
    let site = Browser::at(Router::new().route("/", get(careless))).await?;
    site.open("/").await?;
    site.wait_for("Take it.").await?;

    let refusal = |seen: &Response| !seen.blocked_cookies.is_empty();
    let seen = site.responses_until(1, refusal).await?;
    let first = refused(&seen)[0];
    assert_eq!(first["cookieLine"], "__Host-Http-x=1");
    assert_eq!(first["blockedReasons"], json!(["InvalidPrefix"]));
    Ok(())
}

impl Browser {
    /// Reads the browser's network log until it has `count` responses that are `wanted`. Returns
    /// all responses since the last read.
    async fn responses_until(
        &self,
        count: usize,
        wanted: impl Fn(&Response) -> bool,
    ) -> Outcome<Vec<Response>> {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while seen.iter().filter(|seen| wanted(seen)).count() < count {
            if Instant::now() > end {
                return Err(format!("timed out; the browser saw {seen:#?}").into());
            }
            tokio::time::sleep(PERIOD).await;
            let log = self.client.issue_cmd(ReadLog).await?;
            let entries = log.as_array().ok_or("a log is a list")?;
            seen.extend(entries.iter().filter_map(Response::logged));
        }
        Ok(seen)
    }
}

fn refused(seen: &[Response]) -> Vec<&Value> {
    seen.iter().flat_map(|seen| &seen.blocked_cookies).collect()
}

/// A response as received, with the cookies that the browser refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    headers: HashMap<String, String>,
    blocked_cookies: Vec<Value>,
}

impl Response {
    fn logged(entry: &Value) -> Option<Self> {
        let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
        let event = &event["message"];
        (event["method"] == "Network.responseReceivedExtraInfo")
            .then(|| Self::deserialize(&event["params"]).expect("valid by the DevTools protocol"))
    }

    /// The `Set-Cookie` line of the session, after the name and `=`.
    fn session(&self) -> Option<&str> {
        let line = self.headers.get("set-cookie")?;
        line.strip_prefix("__Host-Http-session=")
    }
}

#[derive(Debug)]
struct ReadLog;

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = json!({ "type": "performance" });
        (Method::POST, Some(body.to_string()))
    }
}
