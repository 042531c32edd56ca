//! Random records against a second implementation, which knows the format's description alone and leaves the
//! cryptography to Tink: both ways, and where something is wrong both say so.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    entries::{Entries, Splice},
    key::{Context, KeyRing, Keys, Purpose, Secret},
    record::{self, Head, Record, SessionId, Times},
    seal::{self, HEADROOM, TAG_LEN},
};

#[path = "../python/mod.rs"]
mod python;

const CONTEXTS: usize = 100;
const RECORDS: usize = 100;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// A secret, purpose, name, audience and additional data.
struct Scene {
    keys: Keys,
    aad: Vec<u8>,
    context: Value,
}

impl Scene {
    fn random(rng: &mut StdRng) -> Self {
        let secret = word(rng, 32..80);
        let purpose = ["cookie", "store", "owner"][rng.random_range(0..3)];
        let (name, audience) = (word(rng, 1..40), word(rng, 0..40));
        let aad = bytes(rng, 0..40);
        let context = Context {
            purpose: Purpose(purpose),
            cookie_name: &name,
            audience: &audience,
        };
        Self {
            keys: KeyRing::new(Secret::unchecked(&secret)).derive(context),
            context: json!([secret, purpose, name, audience]),
            aad,
        }
    }

    fn seal(&self, rng: &mut StdRng, buffer: Vec<u8>) -> String {
        let mut random = [0; seal::RANDOM_LEN];
        rng.fill_bytes(&mut random);
        let buffer = seal::seal(self.keys.current(), &self.aad, &random, buffer);
        let mut text = Vec::new();
        seal::append_text(&buffer, &mut text);
        String::from_utf8(text).expect("base64")
    }

    /// What is in a token, as the other implementation says it.
    fn open(&self, token: &str) -> Value {
        let Ok(opened) = seal::open(&self.keys, &self.aad, token.as_bytes()) else {
            return json!({"plain": null, "record": null});
        };
        let plaintext = opened.plaintext();
        let plain = hex(&opened.bytes[plaintext.clone()]);
        let record = Record::parse(opened.bytes, plaintext).ok();
        json!({"plain": plain, "record": record.as_ref().map(describe)})
    }

    fn ask(&self, what: Value) -> Value {
        let mut ask = what;
        ask["context"] = self.context.clone();
        ask["aad"] = hex(&self.aad).into();
        ask
    }
}

fn describe(record: &Record) -> Value {
    let Head { id, times } = record.head;
    let entries = record.entries();
    json!({
        "remembered": times.remembered,
        "stored": record.stored,
        "id": hex(id.as_bytes()),
        "created_ms": times.created,
        "issued_s": times.issued,
        "lifetime_s": times.lifetime,
        "owner": record.owner(),
        "entries": entries.iter().map(|(key, value)| json!([key, hex(value)])).collect::<Vec<_>>(),
    })
}

/// Text of so many characters, some of them of several bytes.
fn word(rng: &mut StdRng, len: std::ops::Range<usize>) -> String {
    let pool: Vec<char> = "abcXYZ019-_.é\u{0}\u{7ff}\u{800}\u{fffd}\u{1f375}"
        .chars()
        .collect();
    let len = rng.random_range(len);
    (0..len)
        .map(|_| pool[rng.random_range(0..pool.len())])
        .collect()
}

fn bytes(rng: &mut StdRng, len: std::ops::Range<usize>) -> Vec<u8> {
    let mut out = vec![0; rng.random_range(len)];
    rng.fill_bytes(&mut out);
    out
}

/// A record as the other implementation describes it; values of up to three length bytes.
fn random_record(rng: &mut StdRng) -> Value {
    let mut entries = BTreeMap::new();
    for _ in 0..rng.random_range(0..6) {
        let long = match rng.random_range(0..200) {
            0 => 16_000..17_000,
            1..20 => 100..200,
            _ => 1..20,
        };
        entries.insert(word(rng, 1..50), hex(&bytes(rng, long)));
    }
    let extreme = |rng: &mut StdRng| match rng.random_range(0..4) {
        0 => 0,
        1 => u32::MAX,
        _ => rng.random(),
    };
    json!({
        "remembered": rng.random::<bool>(),
        "stored": false,
        "id": hex(&bytes(rng, 16..17)),
        "created_ms": rng.random_range(0..1_u64 << 48),
        "issued_s": extreme(rng),
        "lifetime_s": extreme(rng),
        "owner": rng.random::<bool>().then(|| word(rng, 1..60)),
        "entries": entries.into_iter().collect::<Vec<_>>(),
    })
}

/// Its bytes by this implementation, after room for a token's head.
fn encode(record: &Value) -> Vec<u8> {
    let number = |field: &str| record[field].as_u64().expect("a number");
    let half = |field| u32::try_from(number(field)).expect("32 bits");
    let mut entries = Vec::new();
    for entry in record["entries"].as_array().expect("a list").iter().rev() {
        let [key, value] = [0, 1].map(|n| entry[n].as_str().expect("text"));
        entries = Splice::new(Entries::trusted(&entries), key, Some(&unhex(value))).apply();
    }
    let id = unhex(record["id"].as_str().expect("text"));
    let head = Head {
        id: SessionId::new(id.try_into().expect("16 bytes")),
        times: Times {
            created: number("created_ms"),
            issued: half("issued_s"),
            lifetime: half("lifetime_s"),
            remembered: record["remembered"] == true,
        },
    };
    let owner = record["owner"].as_str();
    record::encode(head, owner, Entries::trusted(&entries), HEADROOM, TAG_LEN)
}

/// Asks the other implementation all of it in one go.
fn answers(asks: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python::python("tink/requirements.txt"))
        .args([python::TINK, "batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = child.stdin.take().expect("it is piped");
    let lines: String = asks.iter().map(|ask| format!("{ask}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), asks.len());
    answers
}

#[test]
fn what_is_sealed_here_opens_there_and_what_is_spoilt_does_not() {
    let mut rng = StdRng::seed_from_u64(1);
    let (mut asks, mut wanted) = (Vec::new(), Vec::new());
    let mut count = [0_usize; 4];
    for _ in 0..CONTEXTS {
        let (scene, other) = (Scene::random(&mut rng), Scene::random(&mut rng));
        for _ in 0..RECORDS {
            let record = random_record(&mut rng);
            let token = scene.seal(&mut rng, encode(&record));
            asks.push(scene.ask(json!({"token": token})));
            wanted.push(scene.open(&token));
            assert_eq!(wanted.last().expect("one")["record"], record);
            count[0] += 1;

            let mut spoilt = token.clone().into_bytes();
            let at = rng.random_range(0..spoilt.len());
            match rng.random_range(0..4) {
                0 => spoilt.truncate(at),
                1 => spoilt.insert(at, b'A'),
                2 => spoilt[at] = if spoilt[at] == b'A' { b'B' } else { b'A' },
                // the last character, whose lowest bits may be cut off
                _ => *spoilt.last_mut().expect("one") ^= 1,
            }
            let spoilt = String::from_utf8(spoilt).expect("ASCII");
            if spoilt != token {
                asks.push(scene.ask(json!({"token": spoilt})));
                wanted.push(json!({"plain": null, "record": null}));
                assert_eq!(scene.open(&spoilt), wanted[wanted.len() - 1]);
                count[1] += 1;
            }

            asks.push(other.ask(json!({"token": token})));
            wanted.push(other.open(&token));
            assert!(wanted[wanted.len() - 1]["plain"].is_null());

            // authentic, and odd: some are records, most are not
            let mut odd = encode(&record);
            for _ in 0..rng.random_range(1..3) {
                let at = rng.random_range(HEADROOM..odd.len());
                match rng.random_range(0..4) {
                    0 => odd.truncate(at),
                    1 => odd[at] ^= 1 << rng.random_range(0..8),
                    2 => odd[HEADROOM] = rng.random_range(0..16),
                    _ => odd.insert(at, [0, 1, 0x80, 0xff][rng.random_range(0..4)]),
                }
                if odd.len() == HEADROOM {
                    break;
                }
            }
            let token = scene.seal(&mut rng, odd);
            asks.push(scene.ask(json!({"token": token})));
            wanted.push(scene.open(&token));
            assert!(wanted[wanted.len() - 1]["plain"].is_string());
            count[if wanted[wanted.len() - 1]["record"].is_null() {
                2
            } else {
                3
            }] += 1;
        }
    }
    for ((ask, answer), wanted) in asks.iter().zip(answers(&asks)).zip(wanted) {
        assert_eq!(answer, wanted, "{ask}");
    }
    let [sealed, spoilt, malformed, odd] = count;
    println!("{sealed} sealed, {spoilt} spoilt, {malformed} malformed, {odd} odd records");
    assert!(sealed >= 10_000 && spoilt >= 9_000 && malformed >= 1_000 && odd >= 1_000);
}

#[test]
fn what_is_sealed_there_opens_here() {
    let mut rng = StdRng::seed_from_u64(2);
    let scenes: Vec<_> = (0..CONTEXTS).map(|_| Scene::random(&mut rng)).collect();
    let (mut asks, mut wanted) = (Vec::new(), Vec::new());
    for scene in &scenes {
        for n in 0..RECORDS {
            let record = random_record(&mut rng);
            // its own padding is this one's; any other is taken as well
            let padding = (n % 2 == 1).then(|| rng.random_range(0..100));
            asks.push(scene.ask(json!({"record": record, "padding": padding})));
            wanted.push((record, padding));
        }
    }
    assert!(asks.len() >= 10_000);
    let scenes = scenes.iter().flat_map(|scene| [scene; RECORDS]);
    for ((scene, answer), (record, padding)) in scenes.zip(answers(&asks)).zip(wanted) {
        let opened = scene.open(answer["token"].as_str().expect("a token"));
        assert_eq!(opened["plain"], answer["plain"]);
        assert_eq!(opened["record"], record);
        if padding.is_none() {
            assert_eq!(answer["plain"], hex(&encode(&record)[HEADROOM..]));
        }
    }
}
