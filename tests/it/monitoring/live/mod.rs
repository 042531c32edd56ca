//! The rules and the dashboard with a real Prometheus, real instances and real stores.

mod prometheus;
mod site;

use self::{
    prometheus::Prometheus,
    site::{Instance, Traffic, Visitor},
};
use super::{dashboard::panel_queries, read};
use crate::{processes::Folder, stores::redis_server::RedisServer, support::OTHER_SECRET};

/// Texts that no metric may have.
const OWNER: &str = "canary-owner-7c41d0";
const KEY: &str = "canary-key-7c41d0";
const VALUE: &str = "canary-value-7c41d0";

/// What follows from the faults of this test.
const FIRE: [&str; 4] = [
    "SessionCookiesNotOpened",
    "SessionPruneStale",
    "SessionSecretDiffers",
    "SessionStoreDown",
];

/// What may follow from them as well, if the machine is slow.
const MAY_FIRE: [&str; 4] = [
    "SessionRevocationLag",
    "SessionStoreDownOnInstance",
    "SessionStoreErrors",
    "SessionStoreSlow",
];

/// Parts of the queries that find nothing, and why.
const EMPTY: [(&str, &str); 3] = [
    ("offset 1w", "the stores are new"),
    (
        "session_store_memory_limit_bytes",
        "Redis has no limit here",
    ),
    ("session_pruned_rows_total", "no session is old enough"),
];

/// The rules with seconds for minutes and minutes for hours, so that a fault shows soon.
fn shortened(rules: &str) -> String {
    let three_hours = "> 3 * 3600";
    assert!(rules.contains(three_hours), "the limit of the pruner");
    let mut rules = rules.replace(three_hours, "> 5");
    for n in 1..60 {
        for (long, short) in [('m', 's'), ('h', 'm')] {
            for (before, after) in [("[", "]"), ("offset ", ")"), ("offset ", " ")] {
                rules = rules.replace(
                    &format!("{before}{n}{long}{after}"),
                    &format!("{before}{n}{short}{after}"),
                );
            }
        }
    }
    let lines = rules
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => "        for: 1s",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_fire_and_clear_when_real_servers_fail_and_recover() {
    let (mut redis, folder) = (RedisServer::start(&[]), Folder::new());
    let mut shop = [(); 2].map(|()| Instance::start(&redis.url()));
    let mut archive = Instance::start(&format!("sqlite:{}/sessions.db", folder.0.display()));
    let prometheus = Prometheus::start(
        &shortened(&read("rules.yml")),
        &[
            ("shop", &[shop[0].metrics_port, shop[1].metrics_port]),
            ("archive", &[archive.metrics_port]),
        ],
    )
    .await;

    let secrets = canaries(&shop).await;
    let traffic = Traffic::start(&shop).await;
    let faults = async {
        series_arrive(&prometheus).await;
        store_goes_down(&prometheus, &mut redis).await;
        secret_of_one_is_wrong(&prometheus, &mut shop[1]).await;
    };
    tokio::join!(faults, pruner_stops(&prometheus, &mut archive));

    only_expected_alerts_fired(&prometheus).await;
    panels_have_data(&prometheus).await;
    drop(traffic);
    for instance in shop.iter().chain([&archive]) {
        let metrics = instance.metrics().await;
        assert!(metrics.contains("session_store_operation_duration_seconds_bucket{"));
        assert_contains_none(&metrics, &secrets);
    }
    assert_contains_none(&prometheus.everything().await, &secrets);
}

/// Visitors with texts that no metric may have. Returns these texts.
async fn canaries(shop: &[Instance; 2]) -> Vec<String> {
    let mut visitors = [(); 3].map(|()| Visitor::new());
    for visitor in &mut visitors {
        visitor.get(&shop[0], &format!("/set/{KEY}/{VALUE}")).await;
        let form = format!("name={OWNER}");
        visitor.post(&shop[1], "/login", &form).await;
        let (status, body) = visitor.get(&shop[0], &format!("/get/{KEY}")).await;
        assert_eq!((status, &*body), (200, VALUE));
    }
    let (_, page) = visitors[0].get(&shop[0], "/").await;
    assert!(page.contains(OWNER), "{page}");
    let (_, page) = visitors[0].get(&shop[1], "/devices").await;
    let ids = page.split("name=name value=").skip(1);
    let ids = ids.filter_map(|rest| Some(rest.split_once('>')?.0.to_owned()));
    let mut secrets: Vec<_> = ids.collect();
    assert_eq!(secrets.len(), 2, "{page}");
    visitors[1].post(&shop[0], "/logout", "").await;
    visitors[2].post(&shop[0], "/devices/end-others", "").await;

    let mut stranger = Visitor::new();
    stranger.cookies.push("garbage-7c41d0".to_owned());
    stranger.get(&shop[0], "/get/a").await;

    let cookies = visitors.into_iter().chain([stranger]);
    secrets.extend(cookies.flat_map(|visitor| visitor.cookies));
    secrets.retain(|text| !text.is_empty());
    secrets.extend([OWNER, KEY, VALUE].map(str::to_owned));
    secrets
}

fn assert_contains_none(text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(secret.len() > 8, "{secret}");
        assert!(!text.contains(secret), "{secret}");
    }
}

async fn series_arrive(prometheus: &Prometheus) {
    prometheus.finds(2, r#"up{job="shop"} == 1"#).await;
    let requests = r#"session_requests_total{mode="store", store="redis", result="valid"} > 0"#;
    prometheus.finds(2, requests).await;
    prometheus
        .finds(2, r#"session_store_up{store="redis"} == 1"#)
        .await;
    let archive = r#"session_prune_last_success_timestamp_seconds{job="archive", store="sqlite"}"#;
    prometheus.finds(1, archive).await;
}

async fn store_goes_down(prometheus: &Prometheus, redis: &mut RedisServer) {
    let labels = r#"job="shop", store="redis""#;
    redis.kill();
    prometheus.fires("SessionStoreDown", labels).await;
    redis.restart();
    prometheus.clears("SessionStoreDown").await;
    prometheus.clears("SessionStoreErrors").await;
}

async fn secret_of_one_is_wrong(prometheus: &Prometheus, instance: &mut Instance) {
    let labels = format!(
        r#"job="shop", instance="127.0.0.1:{}""#,
        instance.metrics_port
    );
    instance.restart(&[("SESSION_SECRET", OTHER_SECRET)]);
    prometheus.fires("SessionSecretDiffers", &labels).await;
    prometheus
        .fires("SessionCookiesNotOpened", r#"job="shop""#)
        .await;
    instance.restart(&[]);
    prometheus.clears("SessionSecretDiffers").await;
    prometheus.clears("SessionCookiesNotOpened").await;
}

async fn pruner_stops(prometheus: &Prometheus, archive: &mut Instance) {
    let labels = r#"job="archive", store="sqlite""#;
    let pruned = r#"session_prune_last_success_timestamp_seconds{job="archive"}"#;
    prometheus.finds(1, pruned).await;
    archive.restart(&[("PRUNE_SECONDS", "0")]);
    Visitor::new().get(archive, "/set/a/1").await;
    prometheus.fires("SessionPruneStale", labels).await;
    archive.restart(&[]);
    Visitor::new().get(archive, "/set/a/1").await;
    prometheus.clears("SessionPruneStale").await;
}

async fn only_expected_alerts_fired(prometheus: &Prometheus) {
    let fired = r#"count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[10m]))"#;
    let fired = prometheus.values(fired, "alertname").await;
    for alert in FIRE {
        assert!(fired.iter().any(|it| it == alert), "{alert}: {fired:?}");
    }
    for alert in &fired {
        let expected = FIRE.iter().chain(&MAY_FIRE).any(|it| it == alert);
        assert!(expected, "{alert} fired");
    }
}

async fn panels_have_data(prometheus: &Prometheus) {
    for (panel, query) in panel_queries() {
        let is_empty = prometheus.query(&query).await.is_empty();
        let reason = EMPTY.iter().find(|(part, _)| query.contains(part));
        assert_eq!(is_empty, reason.is_some(), "{panel}: {query}: {reason:?}");
    }
}
