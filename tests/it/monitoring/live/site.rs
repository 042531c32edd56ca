//! Instances of the example `metrics`, and their visitors.

use std::{array, time::Duration};

use http::Method;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    http_client::Http,
    processes::{Server, free_port},
    support::{NAME, SECRET},
};

/// The pause of a visitor between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// An instance that keeps its ports.
pub(super) struct Instance {
    store: String,
    pub(super) port: u16,
    pub(super) metrics_port: u16,
    server: Option<Server>,
}

impl Instance {
    /// Starts an instance whose store and log of revocations are at this URL.
    pub(super) fn start(store: &str) -> Self {
        let mut instance = Self {
            store: store.to_owned(),
            port: free_port(),
            metrics_port: free_port(),
            server: None,
        };
        instance.restart(&[]);
        instance
    }

    /// Kills the process, and starts it again with these settings.
    pub(super) fn restart(&mut self, settings: &[(&str, &str)]) {
        self.server = None;
        let (port, metrics_port) = (self.port.to_string(), self.metrics_port.to_string());
        let mut env = vec![
            ("SESSION_SECRET", SECRET),
            ("SESSION_STORE_URL", &self.store),
            ("REVOCATIONS_URL", &self.store),
            ("PORT", &port),
            ("METRICS_PORT", &metrics_port),
            ("PRUNE_SECONDS", "1"),
        ];
        // of two values of a variable, the last counts
        env.extend(settings);
        self.server = Some(Server::start("metrics", &env));
    }

    pub(super) async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let (status, text, cookies) = Http::new().send(Method::GET, &url, "", String::new()).await;
        assert_eq!((status, cookies.len()), (200, 0));
        text
    }
}

/// A browser that stays on one session.
pub(super) struct Visitor {
    http: Http,
    /// All values of its cookie. The last is the current one.
    pub(super) cookies: Vec<String>,
}

impl Visitor {
    pub(super) fn new() -> Self {
        Self::with(Http::new())
    }

    fn with(http: Http) -> Self {
        Self {
            http,
            cookies: Vec::new(),
        }
    }

    /// The line of its cookie.
    pub(super) fn line(&self) -> String {
        let cookie = self.cookies.last();
        cookie.map_or(String::new(), |cookie| format!("{NAME}={cookie}"))
    }

    pub(super) async fn get(&mut self, instance: &Instance, path: &str) -> (u16, String) {
        self.get_at(instance.port, path).await
    }

    async fn get_at(&mut self, port: u16, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{port}{path}");
        let line = self.line();
        let get = self.http.send(Method::GET, &url, &line, String::new());
        let (status, body, cookies) = get.await;
        self.cookies
            .extend(cookies.iter().map(|it| it.value().to_owned()));
        (status, body)
    }

    /// Sends a form, which must lead to another page.
    pub(super) async fn post(&mut self, instance: &Instance, path: &str, form: &str) {
        let url = format!("http://127.0.0.1:{}{path}", instance.port);
        let (status, body, cookies) = self.http.send_form(&url, &self.line(), form).await;
        assert_eq!(status, 303, "{body}");
        self.cookies
            .extend(cookies.iter().map(|it| it.value().to_owned()));
    }
}

/// Visitors who come again and again until this value is dropped. Some requests may fail.
pub(super) struct Traffic(#[allow(dead_code, reason = "the tasks end on drop")] JoinSet<()>);

impl Traffic {
    /// Visitors who use two instances, the first one twice as often, and some who are new.
    pub(super) async fn start(instances: &[Instance; 2]) -> Self {
        let ports = array::from_fn(|n| instances[n].port);
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let mut visitor = Visitor::new();
            visitor.get(&instances[0], "/set/a/1").await;
            tasks.spawn(come_back(visitor, ports));
        }
        tasks.spawn(newcomers(ports[0]));
        Self(tasks)
    }
}

async fn come_back(visitor: Visitor, ports: [u16; 2]) {
    loop {
        for port in [ports[0], ports[1], ports[0]] {
            let url = format!("http://127.0.0.1:{port}/get/a");
            let line = visitor.line();
            visitor.http.try_send(Method::GET, &url, &line).await;
            sleep(PAUSE).await;
        }
    }
}

async fn newcomers(port: u16) {
    let http = Http::new();
    loop {
        let mut visitor = Visitor::with(http.clone());
        for path in ["/set/a/1", "/get/a", "/set/a/2"] {
            visitor.get_at(port, path).await;
            sleep(PAUSE).await;
        }
    }
}
