//! The login example in a real Chromium: how a real browser treats the cookies.

#[path = "../../examples/login.rs"]
#[allow(dead_code)]
pub(crate) mod login;

use std::{
    collections::HashMap,
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, response::Html, routing::get};
use fantoccini::{
    Client, ClientBuilder, Locator, cookies::Cookie, elements::Element,
    wd::WebDriverCompatibleCommand,
};
use http::{Method, header::SET_COOKIE};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_sealed_session::{KeyRing, SameSite, Session, SessionLayer};
use url::{ParseError, Url};

const PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(50);

const ARGUMENTS: &str = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage";

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::test]
async fn cart_survives_login_and_the_notice_shows_once() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.add_to_cart("Assam").await?;

    shop.log_in("Ada", false).await?;
    assert!(shop.shows("Assam").await?);
    assert!(shop.shows("Welcome, Ada.").await?);

    shop.client.refresh().await?;
    shop.wait_for("Hello, Ada").await?;
    assert!(shop.shows("Assam").await?);
    assert!(!shop.shows("Welcome, Ada.").await?);
    Ok(())
}

#[tokio::test]
async fn remembered_login_survives_a_browser_restart() -> Outcome {
    let mut shop = Browser::at_shop().await?;
    shop.log_in("Ada", true).await?;
    shop.restart().await?;
    shop.open("/me").await?;
    shop.wait_for("Ada").await
}

#[tokio::test]
async fn browser_session_survives_a_restart_only_if_remembered() -> Outcome {
    let sessions = SessionLayer::builder(KeyRing::ephemeral()?).browser_session(true);
    let mut shop = Browser::at(login::app(sessions.build()?)).await?;
    shop.log_in("Ada", true).await?;
    shop.restart().await?;
    shop.open("/me").await?;
    shop.wait_for("Ada").await?;

    shop.log_out().await?;
    shop.log_in("Ada", false).await?;
    shop.restart().await?;
    shop.open("/me").await?;
    shop.wait_for("You are not logged in.").await?;
    assert!(shop.client.get_all_cookies().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn logout_removes_the_cookie() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.log_in("Ada", true).await?;
    assert_eq!(shop.client.get_all_cookies().await?.len(), 1);

    shop.log_out().await?;
    assert!(shop.client.get_all_cookies().await?.is_empty());
    shop.open("/me").await?;
    shop.wait_for("You are not logged in.").await?;
    shop.responses_until(1, |seen| seen.status_code == 401)
        .await?;
    Ok(())
}

#[tokio::test]
async fn scripts_cannot_read_the_cookie() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.log_in("Ada", false).await?;
    let readable = shop
        .client
        .execute("return document.cookie", vec![])
        .await?;
    assert_eq!(readable, "");

    let cookies = shop.client.get_all_cookies().await?;
    let [cookie] = &cookies[..] else {
        panic!("not one cookie: {cookies:?}");
    };
    assert_eq!(cookie.name(), "__Host-Http-session");
    assert_eq!(cookie.path(), Some("/"));
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.secure(), Some(true));
    assert_eq!(cookie.same_site(), Some(SameSite::Lax));
    Ok(())
}

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

#[tokio::test]
async fn largest_session_is_accepted() -> Outcome {
    let fill = |session: Session| async move {
        let mut len = 4096;
        while session.insert("x", "x".repeat(len)).is_err() {
            len -= 1;
        }
    };
    let sessions = SessionLayer::new(KeyRing::ephemeral()?);
    let site = Browser::at(Router::new().route("/", get(fill)).layer(sessions)).await?;
    site.open("/").await?;

    let cookies = site.client.get_all_cookies().await?;
    let size = |cookie: &Cookie| cookie.name().len() + cookie.value().len();
    let sizes: Vec<_> = cookies.iter().map(size).collect();
    assert_eq!(sizes, [4096]);
    Ok(())
}

#[tokio::test]
async fn cross_site_login_is_rejected() -> Outcome {
    let shop = Browser::at_shop().await?;
    let forgery = format!(
        "<form method=post action={}/login><input name=name value=Mallory></form>
        <script>document.forms[0].submit()</script>",
        shop.origin
    );
    let forger = serve(Router::new().route("/", get(|| async { Html(forgery) }))).await?;
    let forger = format!("http://127.0.0.1:{forger}/");
    shop.client.goto(&forger).await?;
    shop.responses_until(1, |seen| seen.status_code == 403)
        .await?;

    shop.open("/me").await?;
    shop.wait_for("You are not logged in.").await?;
    assert!(shop.client.get_all_cookies().await?.is_empty());
    Ok(())
}

async fn serve(app: Router) -> io::Result<u16> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(port)
}

pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Driver,
    origin: String,
}

impl Browser {
    async fn at_shop() -> Outcome<Self> {
        Self::at(login::app(SessionLayer::new(KeyRing::ephemeral()?))).await
    }

    async fn at(site: Router) -> Outcome<Self> {
        Self::at_origin(format!("http://localhost:{}", serve(site).await?)).await
    }

    pub(crate) async fn at_origin(origin: String) -> Outcome<Self> {
        let driver = Driver::start()?;
        Ok(Self {
            client: driver.session().await?,
            driver,
            origin,
        })
    }

    /// Ends the browser gracefully, so that it writes its cookies to disk, and starts a new one.
    async fn restart(&mut self) -> Outcome {
        self.client.clone().close().await?;
        self.client = self.driver.session().await?;
        Ok(())
    }

    pub(crate) async fn open(&self, path: &str) -> Outcome {
        Ok(self.client.goto(&format!("{}{path}", self.origin)).await?)
    }

    async fn add_to_cart(&self, item: &str) -> Outcome {
        self.open("/").await?;
        self.find("[name=item]").await?.send_keys(item).await?;
        self.click("[action='/cart'] button").await?;
        self.wait_for(item).await
    }

    async fn log_in(&self, name: &str, remember: bool) -> Outcome {
        self.open("/").await?;
        self.find("[name=name]").await?.send_keys(name).await?;
        if remember {
            self.click("[name=remember]").await?;
        }
        self.click("[action='/login'] button").await?;
        self.wait_for(&format!("Hello, {name}")).await
    }

    async fn log_out(&self) -> Outcome {
        self.open("/").await?;
        self.click("[action='/logout'] button").await?;
        self.find("[action='/login']").await?;
        Ok(())
    }

    pub(crate) async fn click(&self, css: &str) -> Outcome {
        Ok(self.find(css).await?.click().await?)
    }

    pub(crate) async fn find(&self, css: &str) -> Outcome<Element> {
        self.wait(Locator::Css(css)).await
    }

    pub(crate) async fn wait_for(&self, text: &str) -> Outcome {
        self.wait(Locator::XPath(&containing(text))).await?;
        Ok(())
    }

    async fn shows(&self, text: &str) -> Outcome<bool> {
        let found = self
            .client
            .find_all(Locator::XPath(&containing(text)))
            .await?;
        Ok(!found.is_empty())
    }

    /// The names of all cookies, sorted.
    #[cfg(feature = "starlette")]
    pub(crate) async fn cookie_names(&self) -> Outcome<Vec<String>> {
        let cookies = self.client.get_all_cookies().await?;
        let mut names: Vec<_> = cookies
            .iter()
            .map(|cookie| cookie.name().to_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn wait(&self, search: Locator<'_>) -> Outcome<Element> {
        let wait = self.client.wait().at_most(PATIENCE).every(PERIOD);
        let found = wait.for_element(search).await;
        Ok(found.map_err(|error| format!("{search:?}: {error}"))?)
    }

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

fn containing(text: &str) -> String {
    format!("//*[text()[contains(., '{text}')]]")
}

/// A response as received, with the cookies that the browser refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
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

/// A chromedriver, and the folder of its browsers' files.
struct Driver {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Driver {
    fn start() -> Outcome<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("tower-sealed-session-{}-{n}", process::id()));
        let program = program("chromedriver");
        fs::create_dir(&folder)?;
        let process = Command::new(program)
            .arg("--port=0")
            .env("TMPDIR", &folder)
            .env("XDG_CONFIG_HOME", &folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut driver = Self {
            process,
            port: 0,
            folder,
        };
        let output = driver.process.stdout.as_mut().expect("it is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        driver.port = lines
            .find_map(|line| port(&line))
            .ok_or("chromedriver printed no port")?;
        Ok(driver)
    }

    async fn session(&self) -> Outcome<Client> {
        let profile = format!("--user-data-dir={}/profile", self.folder.display());
        let arguments: Vec<_> = ARGUMENTS.split(' ').chain([&*profile]).collect();
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments, "binary": program("chromium") },
            "goog:loggingPrefs": { "performance": "ALL" },
            "timeouts": { "pageLoad": PATIENCE.as_millis() as u64 },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(capabilities)?)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await?;
        Ok(client)
    }

    fn shut_down(&self) -> io::Result<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        io::copy(&mut stream, &mut io::sink())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A killed driver leaves its browser running, whose helper processes may still write files.
        let _ = self.shut_down();
        let _ = self.process.kill();
        let _ = self.process.wait();
        let end = Instant::now() + PATIENCE;
        while fs::remove_dir_all(&self.folder).is_err() && Instant::now() < end {
            thread::sleep(PERIOD);
        }
    }
}

fn port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: apt-get install -y chromium chromium-driver"))
}
