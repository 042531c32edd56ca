//! The login example in a real browser: how a browser treats the cookies and the pages.
//!
//! The browser is Chromium, or Firefox if the environment variable `BROWSER` is `firefox`. The
//! tests in `network_log` need Chromium.

mod driver;
#[path = "../../../examples/login.rs"]
#[allow(dead_code)]
pub(crate) mod login;
mod network_log;

use std::{
    error::Error,
    io,
    time::{Duration, Instant},
};

use axum::{Router, response::Html, routing::get};
use fantoccini::{Client, Locator, cookies::Cookie, elements::Element};
use tower_sealed_session::{KeyRing, Prefix, SameSite, Session, SessionLayer};

use self::driver::Driver;

const PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(50);

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
    shop.sees_the_login_page().await?;
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
    shop.sees_the_login_page().await
}

#[tokio::test]
async fn login_page_leads_back_to_the_members_page() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.open("/me").await?;
    shop.sees_the_login_page().await?;

    shop.send_login("Ada", true).await?;
    shop.wait_for("Remembered until").await?;
    assert!(shop.shows("Welcome, Ada.").await?);
    assert_eq!(shop.client.current_url().await?.path(), "/me");

    shop.log_in("Ada", false).await?;
    shop.open("/me").await?;
    shop.wait_for("Ends if unused").await
}

/// The pages are `no-store`, so the browser asks for them again.
#[tokio::test]
async fn back_after_logout_shows_no_page_of_the_member() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.log_in("Ada", false).await?;
    shop.open("/me").await?;
    shop.wait_for("Logged in").await?;
    shop.log_out().await?;

    // to the shop and to the members' page, in an order that depends on the browser
    let mut paths = Vec::new();
    for _ in 0..2 {
        shop.client.back().await?;
        shop.wait_for("Log in").await?;
        assert!(!shop.shows("Ada").await?);
        paths.push(shop.client.current_url().await?.path().to_owned());
    }
    paths.sort_unstable();
    assert_eq!(paths, ["/", "/login"]);
    Ok(())
}

/// The same steps with a page that browsers may store. It shows that the test above can fail.
#[tokio::test]
async fn back_after_logout_shows_a_page_that_is_not_no_store() -> Outcome {
    let hello = async |session: Session| Html(format!("<p>Hello, {:?}", session.owner()));
    let log_in = async |session: Session| session.login("ada").map(|()| "logged in");
    let log_out = async |session: Session| {
        session.logout();
        "logged out"
    };
    let pages = Router::new().route("/", get(hello));
    let pages = pages.route("/in", get(log_in)).route("/out", get(log_out));
    let site = Browser::at(pages.layer(SessionLayer::new(KeyRing::ephemeral()?))).await?;
    for (path, text) in [
        ("/in", "logged in"),
        ("/", "Hello, Some"),
        ("/out", "logged out"),
    ] {
        site.open(path).await?;
        site.wait_for(text).await?;
    }
    site.client.back().await?;
    site.wait_for("Hello, Some").await?;
    site.client.refresh().await?;
    site.wait_for("Hello, None").await
}

#[tokio::test]
async fn policy_allows_the_style_and_no_script() -> Outcome {
    let shop = Browser::at_shop().await?;
    shop.open("/").await?;
    let color = "return getComputedStyle(document.body).backgroundColor";
    let color = shop.client.execute(color, vec![]).await?;
    assert_eq!(color, "rgb(243, 245, 239)");
    let add = "const script = document.createElement('script');
        script.textContent = 'document.title = \"run\"';
        document.body.append(script);";
    shop.client.execute(add, vec![]).await?;
    assert_eq!(shop.client.title().await?, "Tea shop");
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
async fn largest_session_is_accepted() -> Outcome {
    let fill = |session: Session| async move {
        let mut len = 4096;
        while session.insert("x", "x".repeat(len)).is_err() {
            len -= 1;
        }
    };
    // sizes go in steps of 16 bytes; with this name, the largest is the limit itself
    let sessions = SessionLayer::builder(KeyRing::ephemeral()?).prefix(Prefix::Host);
    let site = Browser::at(Router::new().route("/", get(fill)).layer(sessions.build()?)).await?;
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
    shop.wait_for("Another site sent this form").await?;
    shop.click("a[href='/']").await?;
    shop.wait_for("Your cart").await?;

    shop.open("/me").await?;
    shop.sees_the_login_page().await?;
    assert!(shop.client.get_all_cookies().await?.is_empty());
    Ok(())
}

pub(crate) async fn serve(app: Router) -> io::Result<u16> {
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

    pub(crate) async fn log_in(&self, name: &str, remember: bool) -> Outcome {
        self.open("/login").await?;
        self.send_login(name, remember).await?;
        self.wait_for(&format!("Hello, {name}")).await
    }

    /// Fills the form of the login page.
    async fn send_login(&self, name: &str, remember: bool) -> Outcome {
        self.find("[name=name]").await?.send_keys(name).await?;
        if remember {
            self.click("[name=remember]").await?;
        }
        self.click("[action='/login'] button").await
    }

    async fn sees_the_login_page(&self) -> Outcome {
        self.find("[action='/login']").await?;
        assert_eq!(self.client.current_url().await?.path(), "/login");
        Ok(())
    }

    async fn log_out(&self) -> Outcome {
        self.open("/").await?;
        self.click("[action='/logout'] button").await?;
        self.find("[href='/login']").await?;
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

    pub(crate) async fn shows(&self, text: &str) -> Outcome<bool> {
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
        let start = Instant::now();
        loop {
            let wait = self.client.wait().at_most(PATIENCE).every(PERIOD);
            match wait.for_element(search).await {
                Ok(found) => return Ok(found),
                // the page that was searched gave way to the next one
                Err(error)
                    if error.to_string().contains("aborted by navigation")
                        && start.elapsed() < PATIENCE => {}
                Err(error) => return Err(format!("{search:?}: {error}").into()),
            }
        }
    }
}

fn containing(text: &str) -> String {
    format!("//*[text()[contains(., '{text}')]]")
}
