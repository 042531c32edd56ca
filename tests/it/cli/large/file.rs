//! A large file of the old app, with all that such a file can hold.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufWriter, Write as _},
};

use serde_json::{Value, json};

use crate::processes::Folder;

/// Each id begins with it.
const ID: &str = "1d0ca9a7";

/// Parts of ids, owners, keys and values. None may be in a store or in what the program prints.
pub(super) const CANARIES: [&str; 10] = [
    ID,
    "s3cr3t",
    "env_vars",
    "LANG",
    "theme",
    "user-1",
    "twice-",
    "ünïcödé-用户",
    "esc-é-😀",
    "123456789012345678901234",
];

/// What an entry is.
enum Holds {
    OwnedBy(String),
    /// It has no owner, so it is left out.
    Nobody,
    /// The name of the reason.
    Bad(&'static str),
}

/// What is in a file.
#[derive(Default)]
pub(super) struct OldFile {
    pub(super) path: String,
    pub(super) entries: u64,
    pub(super) without_owner: u64,
    pub(super) owned: u64,
    /// Bad entries by reason.
    pub(super) bad: BTreeMap<&'static str, u64>,
    /// The last entry of each owner.
    pub(super) owners: HashMap<String, u64>,
}

impl OldFile {
    pub(super) fn write(folder: &Folder, entries: u64) -> Self {
        let path = folder.0.join("parsed_sessions.json");
        let mut out = BufWriter::new(File::create(&path).expect("a file"));
        let mut file = Self {
            path: path.into_os_string().into_string().expect("UTF-8"),
            entries,
            ..Self::default()
        };
        out.write_all(b"{").expect("space");
        for n in 0..entries {
            let (text, holds) = entry(n);
            let comma: &[u8] = if n > 0 { b",\n " } else { b"" };
            out.write_all(comma).expect("space");
            out.write_all(&text).expect("space");
            match holds {
                Holds::OwnedBy(owner) => {
                    file.owned += 1;
                    file.owners.insert(owner, n);
                }
                Holds::Nobody => file.without_owner += 1,
                Holds::Bad(reason) => *file.bad.entry(reason).or_default() += 1,
            }
        }
        out.write_all(b"}\n").expect("space");
        out.flush().expect("space");
        file
    }

    pub(super) fn bad(&self) -> u64 {
        self.bad.values().sum()
    }

    /// The number of rows of a store that has it.
    pub(super) fn rows(&self) -> u64 {
        self.owners.len() as u64
    }

    /// Good sessions that are not their owner's last.
    pub(super) fn superseded(&self) -> u64 {
        self.owned - self.rows()
    }
}

/// The session of an entry, as serde_json reads it.
pub(super) fn session(n: u64) -> Value {
    let text = [b"{", &*entry(n).0, b"}"].concat();
    let file: HashMap<String, Value> = serde_json::from_slice(&text).expect("JSON");
    file.into_values().next().expect("a session")
}

/// The text of an entry, and what it is. Of each hundred, 13 are bad, 2 have no owner, and 2 have
/// an owner whom another one has too.
fn entry(n: u64) -> (Vec<u8>, Holds) {
    let (vars, kind) = (vars(n), n % 100);
    if let Some((text, reason)) = bad(n) {
        return (text, Holds::Bad(reason));
    }
    let id = match kind {
        // the id of an entry before, which has another owner
        9 => n - 3,
        // the id and the owner of an entry before
        10 => n - 10,
        _ => n,
    };
    let plain = |owner: String| (json!(owner).to_string(), Holds::OwnedBy(owner));
    let integer = |owner: String| (owner.clone(), Holds::OwnedBy(owner));
    let (owner, holds) = match kind {
        1 => plain(format!("ünïcödé-用户-{n}")),
        2 => (
            format!(r#""esc-\u00e9-\ud83d\ude00-{n}""#),
            Holds::OwnedBy(format!("esc-é-😀-{n}")),
        ),
        3 => integer(n.to_string()),
        4 => integer(format!("-{n}")),
        5 => integer(format!("123456789012345678901234{n}")),
        6 => (
            format!(r#"true, "user_id": "twice-{n}""#),
            Holds::OwnedBy(format!("twice-{n}")),
        ),
        7 => ("null".to_owned(), Holds::Nobody),
        10 => plain(format!("user-{}", n - 10)),
        // far away in the file
        11 => plain(format!("user-{}", n / 200 * 100 + 12)),
        _ => plain(format!("user-{n}")),
    };
    let id = format!("{ID}{id:024x}");
    let text = match kind {
        8 => return (named(&id, &vars), Holds::Nobody),
        // white space where it may be
        18 => format!(
            "\"{id}\"\t:\r\n{{ \"env_vars\" :{vars}\n,\t\"user_id\"  : {owner} , \"theme\": \"dark\" }}"
        ),
        // an id beyond ASCII
        19 => format!(r#""{ID}-é😀\u00fc-{n}": {{"env_vars": {vars}, "user_id": {owner}}}"#),
        _ => format!(r#""{id}": {{"env_vars": {vars}, "theme": "dark", "user_id": {owner}}}"#),
    };
    (text.into_bytes(), holds)
}

fn named(id: &str, vars: &str) -> Vec<u8> {
    format!(r#""{id}": {{"env_vars": {vars}}}"#).into_bytes()
}

/// The JSON text of the variables: some are of odd types.
fn vars(n: u64) -> String {
    match n % 100 {
        12 => "null".to_owned(),
        13 => format!(r#"["s3cr3t-{n}", [], {{}}, [[null]]]"#),
        14 => format!("{}{n}{}", "[".repeat(100), "]".repeat(100)),
        15 => "[1e308, -0.0, 1.10, 1E-7, 12345678901234567890123, true, false, null]".to_owned(),
        16 => "{}".to_owned(),
        17 => format!(r#"{{"": {{"": ""}}, "LANG": "\ud83d\ude00\u0000", "LANG": {n}}}"#),
        20 => format!(r#""s3cr3t-{n} \"quoted\" }} {{ ] [ , : \\""#),
        _ => {
            json!({"LANG": format!("de {n} é שלום 👩‍👩‍👧"), "TOKEN": format!("s3cr3t-{n}")}).to_string()
        }
    }
}

/// The text of an entry that is bad, with the name of the reason.
fn bad(n: u64) -> Option<(Vec<u8>, &'static str)> {
    let id = format!("{ID}{n:024x}");
    let owned = |field: &str| format!(r#""{id}": {{{field}, "user_id": "user-{n}"}}"#);
    let (text, reason) = match n % 100 {
        21 => (owned(r#""env_vars": {"RATE": NaN}"#), "not-finite"),
        22 => {
            let values = ["null", "[]", r#""{}""#, "17", r#"[{"user_id": "x"}]"#];
            let value = values[n as usize / 100 % 5];
            (format!(r#""{id}": {value}"#), "not-an-object")
        }
        23 => {
            let owner = ["true", "1.5", "[]", "{}", "1e3"][n as usize / 100 % 5];
            (format!(r#""{id}": {{"user_id": {owner}}}"#), "user-id-type")
        }
        24 => (format!(r#""{id}": {{"user_id": ""}}"#), "user-id-length"),
        25 => (owned(r#""theme": "s3cr3t \ud83d""#), "lone-surrogate"),
        26 => {
            let mut text = owned(r#""theme": "?""#).into_bytes();
            let at = text.iter().position(|&byte| byte == b'?');
            text[at.expect("it is there")] = 0xff;
            return Some((text, "invalid-utf8"));
        }
        27 => (owned("\"theme\": \"\n\""), "control-character"),
        28 => (String::new(), "missing"),
        29 => (format!(r#""{id}" {{}}"#), "invalid-json"),
        30 => (owned(r#""": 1"#), "field-name-length"),
        31 => (owned(r#""theme": 1e999"#), "number-range"),
        32 => {
            let deep = format!(r#""a": {}{}"#, "[".repeat(126), "]".repeat(126));
            (owned(&deep), "too-deep")
        }
        // larger than a row, or than what is read
        33 if n % 1000 == 33 => {
            let len = [80_000, 300_000][usize::from(n % 2000 == 33)];
            let large = format!(r#""env_vars": {{"A": "{}"}}"#, "s3cr3t".repeat(len / 6));
            (owned(&large), "too-large")
        }
        34 => (format!(r#""": {{"env_vars": {}}}"#, vars(n)), "id-length"),
        _ => return None,
    };
    Some((text.into_bytes(), reason))
}
