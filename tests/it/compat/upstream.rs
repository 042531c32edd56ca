//! Interoperability with the real Starlette under uvicorn: each side reads the sessions that the
//! other side wrote.

use std::process::Command;

use http::Method;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{http_client::Http, processes::Server, python::python, support::get_with};

const SESSIONS: usize = 10_000;
/// The number of parallel clients.
const LANES: usize = 8;

pub(super) const NEWEST: &str = "starlette/requirements-newest.txt";
pub(super) const BEFORE_1: &str = "starlette/requirements-old.txt";

/// The legacy app.
pub(super) fn old_app(requirements: &str) -> Server {
    Server::run(
        Command::new(python(requirements))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/starlette/app.py"))
            .env("STARLETTE_SECRET", OLD_SECRET),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sessions_round_trip_with_the_newest_starlette() {
    both_ways(NEWEST, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_sessions_round_trip_with_starlette_0_52_1() {
    both_ways(BEFORE_1, 2).await;
}

async fn both_ways(requirements: &str, seed: u64) {
    let server = old_app(requirements);
    let origin = format!("http://127.0.0.1:{}", server.port);
    let lanes = (0..LANES).map(|lane| {
        let rng = StdRng::seed_from_u64(seed * 100 + lane as u64);
        tokio::spawn(exchange(origin.clone(), rng, SESSIONS / LANES))
    });
    let mut deepest = 0;
    for lane in lanes.collect::<Vec<_>>() {
        deepest = deepest.max(lane.await.expect("it passes"));
    }
    assert!(deepest > 300, "{deepest}");
}

/// Each session is written there and read here, then written here and read there. Returns the depth
/// of the deepest session.
async fn exchange(origin: String, mut rng: StdRng, count: usize) -> usize {
    let http = Http::new();
    let layer = SignedSessionLayer::new(old_cookie()).expect("valid settings");
    let shared = Router::new()
        .route("/", get(show))
        .route("/write", post(write))
        .layer(layer);
    let builder = SessionLayerBuilder::from_env_or_ephemeral().expect("no variables");
    let builder = builder.idle_timeout(DAY).absolute_timeout(DAY);
    let until = OffsetDateTime::now_utc() + DAY;
    let layer = builder.migrate(old_cookie(), until).build();
    let migrating = Router::new()
        .route("/", get(show))
        .layer(layer.expect("valid settings"));

    let mut deepest = 0;
    let mut texts = Vec::new();
    for n in 0..count {
        let json = object(&mut rng);
        deepest = deepest.max(json.split(|c| c != '[').map(str::len).max().unwrap_or(0));

        let (status, there, cookies) = http
            .send(Method::POST, &format!("{origin}/write"), "", json.clone())
            .await;
        assert_eq!(status, 200, "{json}");
        let line = match &cookies[..] {
            [] => String::new(),
            [cookie] => cookie.stripped().to_string(),
            _ => panic!("several cookies"),
        };
        let reader = [&shared, &migrating][n % 2];
        let here = get_with(reader, "/", &[line.as_bytes()]).await.body;
        texts.push((there.clone(), here));

        let answer = crate::support::post_body(&shared, "/write", &json).await;
        let (name, value) = match &answer.cookies()[..] {
            [] => (String::new(), String::new()),
            [cookie] => (cookie.name().to_owned(), cookie.value().to_owned()),
            _ => panic!("several cookies"),
        };
        let line = format!("{name}={value}");
        let (status, back, _) = http
            .send(Method::GET, &format!("{origin}/"), &line, String::new())
            .await;
        assert_eq!(status, 200, "{json}");
        assert_eq!(back, there, "{json}");
    }
    for texts in texts.chunks(250) {
        let here: Vec<_> = texts.iter().map(|(_, here)| here).collect();
        let here = serde_json::to_string(&here).expect("JSON");
        let url = format!("{origin}/normalize");
        let (_, normal, _) = http.send(Method::POST, &url, "", here).await;
        let normal: Vec<String> = serde_json::from_str(&normal).expect("a list");
        for (normal, (there, _)) in normal.iter().zip(texts) {
            assert_eq!(normal, there);
        }
    }
    deepest
}

async fn write(session: Session, body: String) -> Result<(), Error> {
    let whole: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&body).expect("an object");
    session.write(&whole)
}

fn object(rng: &mut StdRng) -> String {
    let mut members = BTreeMap::new();
    for _ in 0..rng.random_range(0..6) {
        let depth = rng.random_range(0..5);
        members.insert(text(rng, 1..12), value(rng, depth));
    }
    if rng.random_range(0..50) == 0 {
        let depth = rng.random_range(1..500);
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        members.insert("deep".to_owned(), nested);
    }
    let members = members.iter().map(|(key, value)| {
        let key = serde_json::to_string(key).expect("JSON");
        format!("{key}: {value}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

fn value(rng: &mut StdRng, depth: usize) -> String {
    let kinds = if depth == 0 { 8 } else { 10 };
    match rng.random_range(0..kinds) {
        0 => ["null", "true", "false"][rng.random_range(0..3)].to_owned(),
        1 => rng.random_range(-1000..1000).to_string(),
        2 => rng.random::<i64>().to_string(),
        3 => {
            let digits = rng.random_range(1..60);
            let digits: String = (0..digits).map(|_| rng.random_range('0'..='9')).collect();
            let digits = digits.trim_start_matches('0');
            let sign = ["", "-"][rng.random_range(0..2)];
            format!("{sign}1{digits}")
        }
        4 => {
            let float = f64::from_bits(rng.random());
            let float = if float.is_finite() { float } else { 0.1 };
            serde_json::to_string(&float).expect("JSON")
        }
        5 => format!(
            "{}e{}",
            rng.random_range(-99..99),
            rng.random_range(-300..300)
        ),
        6 | 7 => serde_json::to_string(&text(rng, 0..20)).expect("JSON"),
        8 => {
            let items = (0..rng.random_range(0..4)).map(|_| value(rng, depth - 1));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        _ => {
            let items = (0..rng.random_range(0..4)).map(|n| {
                let key = serde_json::to_string(&format!("{n}{}", text(rng, 0..6)));
                format!("{}:{}", key.expect("JSON"), value(rng, depth - 1))
            });
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
    }
}

/// Random text with characters of one to four bytes, quotes, escapes and control characters.
fn text(rng: &mut StdRng, len: std::ops::Range<usize>) -> String {
    let len = rng.random_range(len);
    let character = |rng: &mut StdRng| match rng.random_range(0..10) {
        0 => char::from(rng.random_range(0..0x20_u8)),
        1 => ['"', '\\', '/', '\u{7f}', '\u{2028}', '\u{feff}', '\u{ffff}'][rng.random_range(0..7)],
        2 => rng.random_range('\u{80}'..'\u{800}'),
        3 => rng.random_range('\u{800}'..'\u{d7ff}'),
        4 => rng.random_range('\u{10000}'..char::MAX),
        _ => char::from(rng.random_range(0x20..0x7f_u8)),
    };
    (0..len).map(|_| character(rng)).collect()
}
