//! Which old cookies are valid sessions, compared with Python.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use http::HeaderValue;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tower_sealed_session::compat::{Signed, Unreadable};

use super::*;
use crate::{
    python::python,
    support::{Events, get_with},
};

/// In each mode an invalid old cookie means a visitor without a session, not an error. Our own
/// cookie still works beside it.
#[tokio::test]
async fn invalid_old_cookies_are_ignored() {
    let good = old_value(r#"{"user":"ada"}"#, START);
    let (payload, rest) = good.split_once('.').expect("a dot");
    let foreign = Starlette::new(["another secret"]).expect("one");
    let cases = [
        // not signed with a known secret
        ("forged", "x".to_owned()),
        ("forged", "..".to_owned()),
        ("forged", "a.b.c".to_owned()),
        ("forged", payload.to_owned()),
        ("forged", format!("{payload}A.{rest}")),
        ("forged", format!("f{}", &good[1..])),
        ("forged", good[..good.len() - 2].to_owned()),
        ("forged", foreign.seal(r#"{"user":"ada"}"#, moment(START))),
        ("forged", "\u{fc}.\u{fc}".to_owned()),
        ("forged", "x".repeat(10_000)),
        ("forged", format!("{}.{rest}", "e30".repeat(3000))),
        // signed, but outside its lifetime
        ("expired", old_value(r#"{"user":"ada"}"#, START - 1_209_601)),
        ("expired", old_value(r#"{"user":"ada"}"#, 0)),
        ("future", old_value(r#"{"user":"ada"}"#, START + 61)),
        ("future", old_value(r#"{"user":"ada"}"#, 200_000_000_000)),
        // signed, but not a JSON object: most of these make Starlette fail on every request, and
        // some only Python can read
        ("malformed", old_value("", START)),
        ("malformed", old_value("null", START)),
        ("malformed", old_value("1", START)),
        ("malformed", old_value(r#""text""#, START)),
        ("malformed", old_value(r#"[["a",1]]"#, START)),
        ("malformed", old_value(r#"{"a":NaN}"#, START)),
        ("malformed", old_value(r#"{"a":-Infinity}"#, START)),
        ("malformed", old_value(r#"{"a":"\ud800"}"#, START)),
        ("malformed", old_value(r#"{"a":["\udc00\ud800"]}"#, START)),
        ("malformed", old_value(r#"{"\ud800":1}"#, START)),
        ("malformed", old_value(r#"{"a":1"#, START)),
        ("malformed", old_value(r#"{"a":1}}"#, START)),
        ("malformed", old_value(r#"{'a':1}"#, START)),
        ("malformed", old_value("\u{feff}{}", START)),
    ];
    let ours = |builder: SessionLayerBuilder| builder.build().expect("valid settings");
    let until = moment(START) + DAY;
    let migrate = ours(builder().0.migrate(old_cookie(), until));
    let dual = ours(builder().0.dual_write(old_cookie(), until));
    let session = tower_sealed_session::testing::session(&migrate);
    session.insert("ours", 1).expect("small");
    let kept = tower_sealed_session::testing::cookie(&migrate, &session).expect("a cookie");
    let (share, clock) = sharing();
    clock.set(moment(START));
    let apps = [app().layer(migrate), app().layer(dual), share];
    for (reason, value) in &cases {
        let old = format!("session={value}");
        for (n, app) in apps.iter().enumerate() {
            let events = Events::capture();
            let answer = get_with(app, "/", &[old.as_bytes()]).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.body),
                (200, "{}"),
                "{value}"
            );
            assert!(answer.sets_nothing());
            let mut emitted = events.drain();
            // once a minute
            emitted.retain(|event| event != "legacy_forged");
            assert_eq!(emitted, [format!("legacy_rejected {reason}")], "{value}");
            if n == 2 {
                continue;
            }
            let answer = get_with(app, "/", &[old.as_bytes(), kept.as_bytes()]).await;
            assert_eq!(answer.body, r#"{"ours":1}"#, "{value}");
            assert!(answer.sets_nothing());
        }
    }
}

/// Python's integers have no upper limit. Floats keep their digits.
#[tokio::test]
async fn numbers_keep_their_digits() {
    let (app, _) = sharing();
    let big = "9".repeat(400);
    let json = format!(
        r#"{{"a":{big},"b":-{big},"c":1e999,"d":0.1000000000000000055511151231257827,"e":-0.0,"f":18446744073709551616}}"#
    );
    let mut visitor = with_old(&json, START);
    assert_eq!(visitor.body(&app, "/").await, json);
    visitor.post(&app, "/set?key=g&value=1").await;
    let (written, _) = visitor.old().expect("one");
    assert_eq!(
        written,
        format!("{},\"g\":\"1\"}}", &json[..json.len() - 1])
    );
}

/// A key has 1 to 255 bytes. The other entries are read.
#[tokio::test]
async fn entries_with_invalid_keys_are_left_out_with_an_event() {
    let (app, _) = migrating();
    let long = "k".repeat(256);
    let json = format!(r#"{{"":1,"{long}":2,"{}":3,"a":4}}"#, &long[1..]);
    let events = Events::capture();
    let answer = with_old(&json, START).get(&app, "/").await;
    assert_eq!(answer.body, format!(r#"{{"a":4,"{}":3}}"#, &long[1..]));
    assert_eq!(events.drain()[0], "legacy_left_out");
}

#[tokio::test]
async fn last_of_two_members_with_the_same_name_counts() {
    let (app, _) = migrating();
    let mut visitor = with_old(r#"{"b":1,"a":1,"b":{"c":1, "c":2},"a":3}"#, START);
    assert_eq!(
        visitor.body(&app, "/").await,
        r#"{"a":3,"b":{"c":1,"c":2}}"#
    );
}

/// A custom format may unpack a cookie to any size.
#[tokio::test]
async fn old_session_of_any_size_is_no_error() {
    struct Long(usize);

    impl tower_sealed_session::compat::Format for Long {
        fn open(&self, _: &[u8]) -> Result<Signed, Unreadable> {
            let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(self.0)).into_bytes();
            Ok(Signed {
                json,
                at: moment(START),
            })
        }

        fn seal(&self, _: &str, _: OffsetDateTime) -> String {
            String::new()
        }

        fn len(&self, _: usize) -> usize {
            0
        }
    }

    for (len, keys) in [
        (1 << 20, 1),
        ((1 << 21) - 12, 1),
        (1 << 21, 0),
        (1 << 23, 0),
    ] {
        let (builder, _) = builder();
        let layer = builder.migrate(LegacyCookie::new(Long(len), DAY), moment(START) + DAY);
        let count = get(async |session: Session| session.len().to_string());
        let app = Router::new()
            .route("/", count)
            .layer(layer.build().expect("valid settings"));
        let answer = get_with(&app, "/", &[b"session=x"]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body),
            (200, keys.to_string()),
            "{len}"
        );
    }
}

/// Other systems can be read with a custom format.
#[tokio::test]
async fn custom_format_is_supported() {
    struct Plain;

    impl tower_sealed_session::compat::Format for Plain {
        fn open(&self, value: &[u8]) -> Result<Signed, Unreadable> {
            match value.strip_prefix(b"v1:") {
                Some(b"bad") => Err(Unreadable::Undecodable),
                Some(user) => Ok(Signed {
                    json: [b"{\"user\":\"", user, b"\"}"].concat(),
                    at: moment(START),
                }),
                None => Err(Unreadable::Forged),
            }
        }

        fn seal(&self, json: &str, _: OffsetDateTime) -> String {
            json.to_owned()
        }

        fn len(&self, json: usize) -> usize {
            json
        }
    }

    let cookie = LegacyCookie::new(Plain, FORTNIGHT).name("old").owner(user);
    let (builder, clock) = builder();
    let layer = builder.migrate(cookie.clone(), moment(START) + DAY);
    let migrating = app().layer(layer.build().expect("valid settings"));
    for (value, owner) in [("v1:ada", "ada"), ("v1:bad", ""), ("v2", "")] {
        let line = format!("old={value}");
        assert_eq!(
            get_with(&migrating, "/owner", &[line.as_bytes()])
                .await
                .body,
            owner
        );
    }
    // a value that is invalid in a cookie is not sent
    let layer = SignedSessionLayer::with_clock(cookie, clock).expect("valid settings");
    let answer = post_to(&app().layer(layer), "/set?key=a&value=b", "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.sets_nothing());
}

/// A Python process that answers one line for each line.
struct Python {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let mut child = Command::new(python("starlette/requirements-newest.txt"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/starlette/unsign.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdin,
            stdout,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.stdin, "{question}").expect("it reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cookies that are corrupted, quoted, padded, too old or from the future, signed by one of several
/// secrets. The result is the same session as in the real `SessionMiddleware`, or none in both.
#[tokio::test]
async fn corrupted_cookies_open_as_in_python() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut python = Python::start();
    let secrets = ["first", "second\u{e9}", OLD_SECRET];
    let payloads = [
        r#"{"a": 1}"#,
        r#"{"a": "\u00eb \ud83d\ude00", "b": [1.5, null, true, {"c": "???>>>~~~"}]}"#,
        "{}",
        "[]",
        "null",
        r#"{"a": NaN}"#,
        r#"{"n": 123456789012345678901234567890}"#,
    ];
    let (mut same, mut none, mut failed) = (0, 0, 0);
    for n in 0..4000 {
        let signer = secrets[rng.random_range(0..3)];
        let age = [0, 1, 100, 101, -61, 99][rng.random_range(0..6)];
        let json = payloads[rng.random_range(0..payloads.len())];
        let signer = Starlette::new([signer]).expect("one");
        let mut value = signer.seal(json, moment(START - age)).into_bytes();
        let known = rng.random_range(1..4);
        if n % 7 == 0 {
            value = quoted(&mut rng, &value);
        } else if n % 7 < 5 {
            for _ in 0..rng.random_range(1..3) {
                corrupt(&mut rng, &mut value);
            }
        }
        // these bytes end a cookie value or are trimmed, so they cannot be part of it
        if value
            .iter()
            .any(|byte| b"; \t\r\n\0\x7f\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0".contains(byte))
        {
            continue;
        }
        let in_python = python.ask(&json!({
            "secrets": &secrets[..known], "max_age": 100, "now": START, "cookie": hex(&value),
        }));
        let cookie = LegacyCookie::new(
            Starlette::new(&secrets[..known]).expect("some"),
            Duration::from_secs(100),
        );
        let layer = SignedSessionLayer::with_clock(cookie, TestClock::at(moment(START)));
        let line = [b"session=", &value[..]].concat();
        let Ok(_) = HeaderValue::from_bytes(&line) else {
            continue;
        };
        let answer = get_with(&app().layer(layer.expect("valid settings")), "/", &[&line]).await;
        assert_eq!(answer.status, 200);
        let here = python.ask(&json!({"normal": answer.body}));
        match in_python.as_str() {
            Some("error") => {
                assert_eq!(here, "{}", "{}", line.escape_ascii());
                failed += 1;
            }
            Some(there) => {
                assert_eq!(here, there, "{}", line.escape_ascii());
                same += 1;
            }
            None => {
                assert_eq!(here, "{}", "{}", line.escape_ascii());
                none += 1;
            }
        }
    }
    assert!(
        same > 300 && none > 1000 && failed > 100,
        "{same} {none} {failed}"
    );
}

/// Changes, adds or removes a byte, mostly near the signature.
fn corrupt(rng: &mut StdRng, value: &mut Vec<u8>) {
    let from = if rng.random() {
        value.len().saturating_sub(30)
    } else {
        0
    };
    let at = rng.random_range(from..value.len());
    let byte = match rng.random_range(0..4) {
        0 => b"=.-_+/~!*"[rng.random_range(0..9)],
        1 => rng.random_range(0x21..0x7f),
        2 => rng.random_range(0x80..=0xff),
        _ => b"ABCabc123"[rng.random_range(0..9)],
    };
    match rng.random_range(0..4) {
        0 => value[at] = byte,
        1 => drop(value.remove(at)),
        2 => value.push(byte),
        _ => value.insert(at, byte),
    }
    if value.is_empty() {
        value.push(b'.');
    }
}

fn quoted(rng: &mut StdRng, value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in value {
        match rng.random_range(0..40) {
            0 => out.extend(format!("\\{byte:03o}").into_bytes()),
            1 => out.extend([b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// Random text of base64 characters, other bytes and padding.
fn base64ish(rng: &mut StdRng) -> Vec<u8> {
    let len = rng.random_range(0..24);
    let mut text: Vec<u8> = (0..len)
        .map(|_| match rng.random_range(0..12) {
            0 => b'=',
            1 => b"+/-_"[rng.random_range(0..4)],
            2 => rng.next_u32() as u8,
            _ => b"ABCDwxyz0189"[rng.random_range(0..12)],
        })
        .collect();
    text.extend(std::iter::repeat_n(b'=', rng.random_range(0..3)));
    text
}

/// A timestamp decodes as by `urlsafe_b64decode`, and a payload as by `b64decode`.
#[test]
fn base64_is_as_lenient_as_pythons() {
    let mut rng = StdRng::seed_from_u64(8);
    let mut python = Python::start();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..6000 {
        let text = base64ish(&mut rng);
        if text.contains(&b'.') || text.iter().any(|byte| !byte.is_ascii()) {
            continue;
        }
        let there = python.ask(&json!({"b64": hex(&text)}));
        let text = String::from_utf8(text).expect("ASCII");
        // signed unchanged, with 1 as the time
        let here = match starlette().open(&sign(&format!("{text}.AQ"))) {
            Ok(signed) => Value::String(hex(&signed.json)),
            Err(why) => {
                assert_eq!(why, Unreadable::Undecodable);
                Value::Null
            }
        };
        assert_eq!(here, there, "{text:?}");
        let there = python.ask(&json!({"url": hex(text.as_bytes())}));
        let time = starlette().open(&sign(&format!("e30=.{text}")));
        match there.as_str() {
            Some(hex) => {
                let number = u64::from_str_radix(if hex.is_empty() { "0" } else { hex }, 16);
                let at = time.expect("it decodes").at.unix_timestamp() as u64;
                // a time beyond the calendar becomes the maximum
                let wanted = number.map_or(LAST, |number| number.min(LAST));
                assert_eq!(at, wanted, "{text:?}");
                good += 1;
            }
            None => {
                assert_eq!(time.expect_err("it does not"), Unreadable::Undecodable);
                bad += 1;
            }
        }
    }
    assert!(good > 300 && bad > 300, "{good} {bad}");
}

/// Signs any text as itsdangerous does.
fn sign(text: &str) -> Vec<u8> {
    use base64::engine::{Engine as _, general_purpose::URL_SAFE_NO_PAD};
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha1::{Digest as _, Sha1};
    let key = Sha1::digest(["itsdangerous.Signersigner", OLD_SECRET].concat());
    let mac = Hmac::<Sha1>::new_from_slice(&key).expect("any length");
    let signature = mac.chain_update(text).finalize().into_bytes();
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{text}.{signature}").into_bytes()
}
