//! A real Prometheus for one test.

use std::{
    fmt::Write as _,
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::Method;
use serde_json::Value;
use url::Url;

use crate::{
    http_client::Http,
    processes::{Folder, free_port},
    stores::redis_server::{LOG, show_log},
};

/// How long something may take that needs a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with its own port and folder. It is killed when this value is dropped.
pub(super) struct Prometheus {
    folder: Folder,
    port: u16,
    child: Child,
    http: Http,
}

impl Prometheus {
    /// Starts a server that scrapes each second. Each job has a name, and the ports of its instances.
    pub(super) async fn start(rules: &str, jobs: &[(&str, &[u16])]) -> Self {
        let folder = Folder::new();
        fs::write(folder.0.join("rules.yml"), rules).expect("written");
        let mut config = "global: {scrape_interval: 1s, evaluation_interval: 500ms}\n\
            rule_files: [rules.yml]\n\
            scrape_configs:\n"
            .to_owned();
        for (job, ports) in jobs {
            let targets: Vec<_> = ports
                .iter()
                .map(|port| format!("'127.0.0.1:{port}'"))
                .collect();
            let targets = targets.join(", ");
            writeln!(
                config,
                "- {{job_name: {job}, static_configs: [{{targets: [{targets}]}}]}}"
            )
            .expect("a text");
        }
        fs::write(folder.0.join("prometheus.yml"), config).expect("written");
        let port = free_port();
        let child = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(&folder.0)
            .stdout(Stdio::null())
            .stderr(File::create(folder.0.join(LOG)).expect("a file"))
            .spawn()
            .expect("prometheus is missing: `apt-get install -y prometheus`");
        let mut server = Self {
            folder,
            port,
            child,
            http: Http::new(),
        };
        server.wait_until_ready().await;
        server
    }

    async fn wait_until_ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/-/ready", self.port);
        let deadline = Instant::now() + PATIENCE;
        while self.http.try_send(Method::GET, &url, "").await != Some(200) {
            let ended = self.child.try_wait().expect("a process");
            assert!(ended.is_none(), "prometheus does not start: {ended:?}");
            assert!(Instant::now() < deadline, "prometheus does not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The text and the `data` of an answer of the API, which must be a success.
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> (String, Value) {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let url = Url::parse_with_params(&url, parameters).expect("a URL");
        let get = self.http.send(Method::GET, url.as_str(), "", String::new());
        let (status, text, _) = get.await;
        assert_eq!(status, 200, "{url}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        (text, answer["data"].clone())
    }

    /// The series that a query finds now.
    pub(super) async fn query(&self, query: &str) -> Vec<Value> {
        let (_, data) = self.ask("query", &[("query", query)]).await;
        data["result"].as_array().expect("a list").clone()
    }

    /// The values of one label of the series that a query finds now.
    pub(super) async fn values(&self, query: &str, label: &str) -> Vec<String> {
        let series = self.query(query).await;
        let values = series.iter().map(|one| &one["metric"][label]);
        let values = values.map(|value| value.as_str().unwrap_or_default().to_owned());
        values.collect()
    }

    /// All names and labels of all series that it has.
    pub(super) async fn everything(&self) -> String {
        let all = [("match[]", r#"{__name__=~".+"}"#)];
        let (mut text, _) = self.ask("series", &all).await;
        let (_, labels) = self.ask("labels", &[]).await;
        for label in labels.as_array().expect("a list") {
            let label = label.as_str().expect("a name");
            text += &self.ask(&format!("label/{label}/values"), &[]).await.0;
        }
        text
    }

    /// Waits until a query finds this number of series.
    pub(super) async fn finds(&self, count: usize, query: &str) {
        let start = Instant::now();
        loop {
            let found = self.query(query).await;
            if found.len() == count {
                return;
            }
            if start.elapsed() > PATIENCE {
                let alerts = self.query("ALERTS").await;
                panic!("{query} finds {found:?}; alerts: {alerts:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until an alert fires for these labels.
    pub(super) async fn fires(&self, alert: &str, labels: &str) {
        let firing = format!(r#"ALERTS{{alertname="{alert}", alertstate="firing", {labels}}}"#);
        self.finds(1, &firing).await;
    }

    /// Waits until an alert neither fires nor is pending.
    pub(super) async fn clears(&self, alert: &str) {
        let active = format!(r#"ALERTS{{alertname="{alert}"}}"#);
        self.finds(0, &active).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        show_log(&self.folder.0);
    }
}
