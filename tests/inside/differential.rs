//! Random records, compared with a second implementation. It was written from the description of
//! the format only, and uses Tink for the cryptography. Each implementation opens the tokens of the
//! other, and both reject the same tokens.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    entries::Edited,
    id::SessionId,
    key::{Context, KeyRing, Keys, Purpose, Secret},
    record::{self, Head, Record, Times},
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
struct Scenario {
    keys: Keys,
    aad: Vec<u8>,
    context: Value,
}

impl Scenario {
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

    /// Opens a token. The result has the form in which the other implementation answers.
    fn open(&self, token: &str) -> Value {
        let Ok(opened) = seal::open(&self.keys, &self.aad, token.as_bytes()) else {
            return json!({"plain": null, "record": null});
        };
        let plaintext = opened.plaintext();
        let plain = hex(&opened.bytes[plaintext.clone()]);
        let record = Record::parse(opened.bytes, plaintext).ok();
        json!({"plain": plain, "record": record.as_ref().map(describe)})
    }

    /// Adds the context to a query.
    fn query(&self, mut query: Value) -> Value {
        query["context"] = self.context.clone();
        query["aad"] = hex(&self.aad).into();
        query
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

/// Random text. `len` is in characters, and some characters have several bytes.
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

/// A random record, in the JSON form of the other implementation. The lengths of values take up to
/// three bytes.
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

/// Encodes a record with this implementation. The result begins with room for a token's head.
fn encode(record: &Value) -> Vec<u8> {
    let number = |field: &str| record[field].as_u64().expect("a number");
    let number_32 = |field| u32::try_from(number(field)).expect("32 bits");
    let mut entries = Edited::new(Vec::new());
    for entry in record["entries"].as_array().expect("a list").iter().rev() {
        let [key, value] = [0, 1].map(|n| entry[n].as_str().expect("text"));
        entries.change(key, Some(&unhex(value)));
    }
    entries.sort();
    let id = unhex(record["id"].as_str().expect("text"));
    let head = Head {
        id: SessionId::new(id.try_into().expect("16 bytes")),
        times: Times {
            created: number("created_ms"),
            issued: number_32("issued_s"),
            lifetime: number_32("lifetime_s"),
            remembered: record["remembered"] == true,
        },
    };
    let owner = record["owner"].as_str();
    record::encode(head, owner, entries.sorted(), HEADROOM, TAG_LEN)
}

/// Sends all queries to one process of the other implementation. Returns its answers.
fn answers(queries: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python::python("tink/requirements.txt"))
        .arg(python::tink())
        .arg("batch")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = child.stdin.take().expect("it is piped");
    let lines: String = queries.iter().map(|query| format!("{query}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), queries.len());
    answers
}

#[test]
fn the_other_implementation_opens_our_tokens_and_rejects_corrupted_ones() {
    let mut rng = StdRng::seed_from_u64(1);
    let (mut queries, mut wanted) = (Vec::new(), Vec::new());
    let mut count = [0_usize; 4];
    for _ in 0..CONTEXTS {
        let (scenario, other) = (Scenario::random(&mut rng), Scenario::random(&mut rng));
        for _ in 0..RECORDS {
            let record = random_record(&mut rng);
            let token = scenario.seal(&mut rng, encode(&record));
            queries.push(scenario.query(json!({"token": token})));
            wanted.push(scenario.open(&token));
            assert_eq!(wanted.last().expect("one")["record"], record);
            count[0] += 1;

            let mut corrupted = token.clone().into_bytes();
            let at = rng.random_range(0..corrupted.len());
            match rng.random_range(0..4) {
                0 => corrupted.truncate(at),
                1 => corrupted.insert(at, b'A'),
                2 => corrupted[at] = if corrupted[at] == b'A' { b'B' } else { b'A' },
                // the lowest bits of the last character may be unused
                _ => *corrupted.last_mut().expect("one") ^= 1,
            }
            let corrupted = String::from_utf8(corrupted).expect("ASCII");
            if corrupted != token {
                queries.push(scenario.query(json!({"token": corrupted})));
                wanted.push(json!({"plain": null, "record": null}));
                assert_eq!(scenario.open(&corrupted), wanted[wanted.len() - 1]);
                count[1] += 1;
            }

            queries.push(other.query(json!({"token": token})));
            wanted.push(other.open(&token));
            assert!(wanted[wanted.len() - 1]["plain"].is_null());

            // authentic with unusual content: some are records, most are not
            let mut unusual = encode(&record);
            for _ in 0..rng.random_range(1..3) {
                let at = rng.random_range(HEADROOM..unusual.len());
                match rng.random_range(0..4) {
                    0 => unusual.truncate(at),
                    1 => unusual[at] ^= 1 << rng.random_range(0..8),
                    2 => unusual[HEADROOM] = rng.random_range(0..16),
                    _ => unusual.insert(at, [0, 1, 0x80, 0xff][rng.random_range(0..4)]),
                }
                if unusual.len() == HEADROOM {
                    break;
                }
            }
            let token = scenario.seal(&mut rng, unusual);
            queries.push(scenario.query(json!({"token": token})));
            wanted.push(scenario.open(&token));
            assert!(wanted[wanted.len() - 1]["plain"].is_string());
            count[if wanted[wanted.len() - 1]["record"].is_null() {
                2
            } else {
                3
            }] += 1;
        }
    }
    for ((query, answer), wanted) in queries.iter().zip(answers(&queries)).zip(wanted) {
        assert_eq!(answer, wanted, "{query}");
    }
    let [sealed, corrupted, malformed, unusual] = count;
    println!(
        "{sealed} sealed, {corrupted} corrupted, {malformed} malformed, {unusual} unusual records"
    );
    assert!(sealed >= 10_000 && corrupted >= 9_000 && malformed >= 1_000 && unusual >= 1_000);
}

#[test]
fn tokens_of_the_other_implementation_open() {
    let mut rng = StdRng::seed_from_u64(2);
    let scenarios: Vec<_> = (0..CONTEXTS).map(|_| Scenario::random(&mut rng)).collect();
    let (mut queries, mut wanted) = (Vec::new(), Vec::new());
    for scenario in &scenarios {
        for n in 0..RECORDS {
            let record = random_record(&mut rng);
            // every second record has unusual padding, which must be accepted too
            let padding = (n % 2 == 1).then(|| rng.random_range(0..100));
            queries.push(scenario.query(json!({"record": record, "padding": padding})));
            wanted.push((record, padding));
        }
    }
    assert!(queries.len() >= 10_000);
    let scenarios = scenarios.iter().flat_map(|scenario| [scenario; RECORDS]);
    for ((scenario, answer), (record, padding)) in scenarios.zip(answers(&queries)).zip(wanted) {
        let opened = scenario.open(answer["token"].as_str().expect("a token"));
        assert_eq!(opened["plain"], answer["plain"]);
        assert_eq!(opened["record"], record);
        if padding.is_none() {
            assert_eq!(answer["plain"], hex(&encode(&record)[HEADROOM..]));
        }
    }
}
