//! `Set-Cookie` for every valid combination of settings, read by three parsers: Python's
//! `http.cookiejar` and `http.cookies`, and the crate `cookie`, which also writes the attributes.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use axum::{Router, routing::get};
use serde_json::{Value, json};
use tower_cookies::Cookie;
use tower_sealed_session::{Prefix, SameSite, Session, SessionLayer, SessionLayerBuilder};

use crate::support::{get_with, keys};

/// For each line, prints the pairs of `http.cookiejar`, then the name, value and attributes of
/// `http.cookies`. An attribute without a value is null in the former and true in the latter. Old
/// Pythons do not know `Partitioned`.
const PYTHON: &str = "
import http.cookiejar, http.cookies, json, sys
http.cookies.Morsel._reserved.setdefault('partitioned', 'Partitioned')
http.cookies.Morsel._flags.add('partitioned')
for line in sys.stdin:
    line = line.strip()
    jar = http.cookiejar.parse_ns_headers([line])[0]
    [(name, morsel)] = http.cookies.SimpleCookie(line).items()
    attributes = {key: value for key, value in morsel.items() if value != ''}
    print(json.dumps([jar, name, morsel.value, attributes]))
";

fn python(lines: &str) -> Vec<Value> {
    let mut child = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs: `apt-get install -y python3` may be missing");
    let mut input = child.stdin.take().expect("it is piped");
    let text = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The expected attributes. Those without a value, such as `Secure`, are null.
type Wanted = BTreeMap<&'static str, Value>;

fn settings() -> Vec<(SessionLayerBuilder, Wanted)> {
    let places: [(Option<Prefix>, &str, Option<&str>); 7] = [
        (None, "/", None),
        (None, "/app/x,y='z'", None),
        (None, "/", Some("example.com")),
        (Some(Prefix::Secure), "/", None),
        (Some(Prefix::None), "/a%20b", Some("xn--bcher-kva.example")),
        (Some(Prefix::None), "/!#$&'()*+-./:<=>?@[]^_`{|}~", None),
        (Some(Prefix::Host), "/", None),
    ];
    let mut all = Vec::new();
    for (prefix, path, domain) in places {
        for same_site in [SameSite::Lax, SameSite::Strict, SameSite::None] {
            for flags in 0..8 {
                let [partitioned, browser_session, insecure] =
                    [1, 2, 4].map(|flag| flags & flag != 0);
                let mut builder = SessionLayer::builder(keys())
                    .path(path)
                    .same_site(same_site)
                    .partitioned(partitioned)
                    .browser_session(browser_session);
                let mut wanted = Wanted::from([
                    ("path", json!(path)),
                    ("samesite", json!(same_site.to_string())),
                    ("httponly", Value::Null),
                ]);
                if let Some(domain) = domain {
                    builder = builder.domain(domain);
                    wanted.insert("domain", json!(domain));
                }
                if let Some(prefix) = prefix {
                    builder = builder.prefix(prefix);
                }
                if insecure {
                    builder = builder.insecure_http();
                } else {
                    wanted.insert("secure", Value::Null);
                }
                if partitioned {
                    wanted.insert("partitioned", Value::Null);
                }
                if !browser_session {
                    wanted.insert("max-age", json!("3600"));
                }
                all.push((builder, wanted));
            }
        }
    }
    all
}

async fn set(session: Session) {
    session.insert("a", 1).expect("small");
}

async fn end(session: Session) {
    session.logout();
}

#[tokio::test]
async fn parsers_read_the_configured_attributes() {
    let (mut lines, mut all) = (String::new(), Vec::new());
    for (builder, wanted) in settings() {
        let Ok(layer) = builder.build() else {
            continue;
        };
        let app = Router::new()
            .route("/", get(set))
            .route("/end", get(end))
            .layer(layer.clone());
        for path in ["/", "/end"] {
            let answer = get_with(&app, path, &[]).await;
            let [line] = answer.header("set-cookie")[..] else {
                panic!("one cookie");
            };
            let mut wanted = wanted.clone();
            if path == "/end" {
                wanted.insert("max-age", json!("0"));
                // the parser returns seconds since 1970
                wanted.insert("expires", json!(0.0));
            }
            lines += &format!("{line}\n");
            all.push((layer.cookie_name().to_owned(), line.to_owned(), wanted));
        }
    }
    println!("{} lines", all.len());
    assert!(all.len() >= 160);
    for (parsed, (name, line, wanted)) in python(&lines).into_iter().zip(all) {
        let mut pairs = parsed[0].as_array().expect("a list").iter().map(|pair| {
            let (key, value) = (&pair[0], pair[1].clone());
            (key.as_str().expect("text").to_owned(), value)
        });
        let (key, value) = pairs.next().expect("name and value");
        assert_eq!(key, name, "{line}");
        let value = value.as_str().expect("text");
        assert_eq!(value.is_empty(), wanted.contains_key("expires"), "{line}");
        // Python adds the version
        let attributes: Vec<_> = pairs
            .map(|(key, value)| {
                (
                    key.to_lowercase(),
                    value.as_f64().map_or(value, Value::from),
                )
            })
            .filter(|(key, _)| key != "version")
            .collect();
        assert_eq!(attributes.len(), wanted.len(), "{line}");
        for (key, value) in attributes {
            assert_eq!(wanted.get(&*key), Some(&value), "{key} of {line}");
        }

        assert_eq!((&parsed[1], &parsed[2]), (&json!(name), &json!(value)));
        let attributes = parsed[3].as_object().expect("attributes");
        assert_eq!(attributes.len(), wanted.len(), "{line}");
        for (key, found) in attributes {
            let wanted = match (&**key, &wanted[&**key]) {
                ("expires", _) => json!("Thu, 01 Jan 1970 00:00:00 GMT"),
                (_, Value::Null) => json!(true),
                (_, text) => text.clone(),
            };
            assert_eq!(*found, wanted, "{key} of {line}");
        }

        let cookie = Cookie::parse(&line).expect("a cookie");
        assert_eq!(cookie.name_value(), (&*name, value));
        let text = |key: &str| wanted.get(key).and_then(Value::as_str);
        assert_eq!(cookie.path(), text("path"));
        assert_eq!(cookie.domain(), text("domain"));
        assert_eq!(
            cookie
                .same_site()
                .map(|same_site| same_site.to_string())
                .as_deref(),
            text("samesite")
        );
        let age = cookie.max_age().map(|age| age.whole_seconds().to_string());
        assert_eq!(age.as_deref(), text("max-age"));
        for (found, key) in [
            (cookie.http_only(), "httponly"),
            (cookie.secure(), "secure"),
            (cookie.partitioned(), "partitioned"),
        ] {
            assert_eq!(
                found.unwrap_or(false),
                wanted.contains_key(key),
                "{key} of {line}"
            );
        }
    }
}
