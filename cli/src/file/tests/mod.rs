mod properties;
mod stream;

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Read},
};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{entry::Owner, reason::Reason, *};

/// What one item tells, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Good {
        position: u64,
        offset: u64,
        id: String,
        owner: Option<String>,
        fields: BTreeMap<String, String>,
    },
    Bad(BadEntry),
    Fatal(&'static str, u64),
}

fn item(item: Result<Result<Entry, BadEntry>, FileError>) -> Item {
    match item {
        Ok(Ok(entry)) => Item::Good {
            position: entry.position,
            offset: entry.offset,
            id: entry.id.as_str().to_owned(),
            owner: entry.owner.map(Owner::into_string),
            fields: texts(&entry.fields),
        },
        Ok(Err(bad)) => Item::Bad(bad),
        Err(error) => Item::Fatal(error.name(), error.offset()),
    }
}

fn texts(fields: &BTreeMap<String, Box<RawValue>>) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|(name, value)| (name.clone(), value.get().to_owned()))
        .collect()
}

fn items(file: impl AsRef<[u8]>) -> Vec<Item> {
    Entries::new(file.as_ref()).map(item).collect()
}

/// The reason of each bad entry, and the name of the error at the end.
fn faults(file: impl AsRef<[u8]>) -> Vec<&'static str> {
    items(file)
        .iter()
        .filter_map(|item| match item {
            Item::Good { .. } => None,
            Item::Bad(bad) => Some(bad.reason.name()),
            Item::Fatal(name, _) => Some(*name),
        })
        .collect()
}

/// The error at the end of a file, and the number of items before it.
fn end(file: impl Read) -> (usize, FileError) {
    let mut items: Vec<_> = Entries::new(file).collect();
    let last = items.pop().expect("an item");
    assert!(items.iter().all(Result::is_ok));
    (items.len(), last.expect_err("a broken file"))
}

/// The only entry of a file, which is good.
fn only(file: &str) -> Entry {
    let mut entries = Entries::new(file.as_bytes());
    let entry = entries.next().expect("an entry").expect("a good file");
    assert!(entries.next().is_none());
    entry.expect("a good entry")
}

/// Reads few bytes at a time, and is interrupted often.
struct Slow<'a> {
    bytes: &'a [u8],
    size: usize,
    calls: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.size.min(buffer.len());
        self.bytes.read(&mut buffer[..size])
    }
}

#[test]
fn what_python_writes_is_read() {
    // json.dump({"sid-1": {"env_vars": {"NAME": "Zoë 😀", "N": 1e+16}, "user_id": 17},
    //            "sid-2": {"user_id": None, "env_vars": {}}}, file)
    let file = concat!(
        r#"{"sid-1": {"env_vars": {"NAME": "Zo\u00eb \ud83d\ude00", "N": 1e+16}, "user_id": 17}, "#,
        r#""sid-2": {"user_id": null, "env_vars": {}}}"#,
    );
    let good = |position, offset, id: &str, owner: Option<&str>, env: &str| Item::Good {
        position,
        offset,
        id: id.to_owned(),
        owner: owner.map(str::to_owned),
        fields: [("env_vars".to_owned(), env.to_owned())].into(),
    };
    let env = r#"{"NAME": "Zo\u00eb \ud83d\ude00", "N": 1e+16}"#;
    let expected = [
        good(1, 1, "sid-1", Some("17"), env),
        good(2, 86, "sid-2", None, "{}"),
    ];
    assert_eq!(items(file), expected);
    assert!(items("{}").is_empty());
}

#[test]
fn a_byte_order_mark_and_white_space_are_accepted() {
    let file = "\u{feff}\r\n\t { \"a\" :\n{} , \"b\" \t:{ } \n}\n\n";
    assert_eq!(faults(file), [""; 0]);
    assert_eq!(items(file).len(), 2);
    assert!(items("\u{feff}{ }").is_empty());
}

#[test]
fn bad_entry_does_not_end_the_file() {
    for (text, reason) in sample::bad() {
        let mut file = br#"{"first": {}, "#.to_vec();
        let offset = file.len() as u64;
        file.extend(text);
        file.extend_from_slice(br#", "last": {"a": 1}}"#);
        let items = items(&file);
        let shown = String::from_utf8_lossy(&file[..file.len().min(99)]);
        assert_eq!(items.len(), 3, "{shown}");
        let [Item::Good { .. }, Item::Bad(bad), Item::Good { id, .. }] = &items[..] else {
            panic!("{items:?} in {shown}");
        };
        assert_eq!((bad.position, bad.reason), (2, reason), "{shown}");
        assert_eq!(id, "last");
        if reason != Reason::Missing {
            assert_eq!(bad.offset, offset, "{shown}");
        }
    }
}

#[test]
fn bad_entry_at_the_end_does_not_hide_the_end() {
    for (text, reason) in sample::bad() {
        let mut file = br#"{"first": {}, "#.to_vec();
        file.extend(text);
        file.extend_from_slice(b"\n}\n");
        assert_eq!(faults(&file), [reason.name()]);
    }
}

#[test]
fn commas_without_an_entry_are_bad_entries() {
    assert_eq!(faults("{,}"), ["missing"; 2]);
    assert_eq!(faults(r#"{"a": {}, }"#), ["missing"]);
    assert_eq!(faults(r#"{"a": {},, "b": {}}"#), ["missing"]);
}

#[test]
fn a_broken_file_is_an_error_with_its_place() {
    for (file, name, offset) in [
        (&b""[..], "empty", 0),
        (b" \r\n\t", "empty", 0),
        (b"\xef\xbb\xbf", "empty", 0),
        (b"[]", "not-an-object", 0),
        (b" \"a\"", "not-an-object", 1),
        (b"\xef\xbb\xbfnull", "not-an-object", 3),
        (b"\0\0\0\0\0", "not-an-object", 0),
        (b"\xef\xbb{}", "not-an-object", 0),
        (b"{", "truncated", 1),
        (b"{ ", "truncated", 2),
        (b"{\"", "truncated", 1),
        (b"{\"a\": {}", "truncated", 1),
        (b"{\"a\": {\"b\": \"\\", "truncated", 1),
        (b"{\"a\": {\"b: 1}}", "truncated", 1),
        (b"{\"a\": {]", "truncated", 1),
        (b"{}{}", "text-after", 2),
        (b"{} \0", "text-after", 3),
        (b"{\"a\": {}}}", "text-after", 9),
    ] {
        let items = items(file);
        let shown = String::from_utf8_lossy(file);
        assert_eq!(items.last(), Some(&Item::Fatal(name, offset)), "{shown}");
        let error = survey(file).expect_err("a broken file");
        assert_eq!((error.name(), error.offset()), (name, offset), "{shown}");
    }
}

#[test]
fn utf16_and_utf32_are_recognized_with_and_without_a_mark() {
    let utf16: Vec<u16> = "\u{feff}{\"a\": {}}".encode_utf16().collect();
    let utf32: Vec<u32> = "\u{feff}{\"a\": {}}".chars().map(u32::from).collect();
    let files: [Vec<u8>; 4] = [
        utf16.iter().flat_map(|n| n.to_le_bytes()).collect(),
        utf16.iter().flat_map(|n| n.to_be_bytes()).collect(),
        utf32.iter().flat_map(|n| n.to_le_bytes()).collect(),
        utf32.iter().flat_map(|n| n.to_be_bytes()).collect(),
    ];
    for (file, mark) in files.iter().zip([2, 2, 4, 4]) {
        for file in [&file[..], &file[mark..]] {
            assert_eq!(items(file), [Item::Fatal("utf16", 0)]);
            let slow = Slow {
                bytes: file,
                size: 1,
                calls: 0,
            };
            assert_eq!(survey(slow).expect_err("a broken file").name(), "utf16");
        }
    }
}

#[test]
fn entries_before_a_fatal_error_are_yielded() {
    let file = r#"{"a": {}, "b": {"x": NaN}, "c": {"user_id": 1}, "d": {"x": "#;
    let (before, error) = end(file.as_bytes());
    assert_eq!(before, 3);
    assert_eq!(
        error.to_string(),
        "the file ends at byte 59 before the end of entry 4, which begins at byte 48: \
         get a complete copy, or add the missing quote or bracket in this entry"
    );
    let mut entries = Entries::new(file.as_bytes());
    assert_eq!(entries.by_ref().count(), 4);
    assert!(entries.next().is_none());
}

#[test]
fn the_error_of_the_disk_is_kept_with_its_place() {
    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk"))
        }
    }

    let file = br#"{"a": {}, "b"#.chain(Failing);
    let (before, error) = end(file);
    assert_eq!(
        (before, error.name(), error.offset()),
        (1, "read-failed", 12)
    );
    let source = std::error::Error::source(&error).expect("a source");
    assert_eq!(source.to_string(), "disk");
    let (_, error) = end(b"{\"".chain(Failing));
    assert_eq!((error.name(), error.offset()), ("read-failed", 2));
}

#[test]
fn user_id_becomes_the_owner() {
    let text = "ü".repeat(127);
    let digits = "9".repeat(254);
    for (value, owner) in [
        (r#""a b""#, Some("a b")),
        (r#""\u00fc""#, Some("ü")),
        ("0", Some("0")),
        ("-0", Some("0")),
        ("17", Some("17")),
        ("-18446744073709551617", Some("-18446744073709551617")),
        ("null", None),
        (&format!("\"{text}\""), Some(&*text)),
        (&format!("-{digits}"), Some(&*format!("-{digits}"))),
    ] {
        let entry = only(&format!(r#"{{"a": {{"user_id": {value}}}}}"#));
        assert_eq!(entry.owner.as_ref().map(Owner::as_str), owner);
        assert!(entry.fields.is_empty());
    }
    assert_eq!(only(r#"{"a": {}}"#).owner, None);
    let entry = only(r#"{"a": {"user\u005fid": "b", "USER_ID": 1}}"#);
    assert_eq!(entry.owner.as_ref().map(Owner::as_str), Some("b"));
    assert_eq!(entry.fields.len(), 1);
}

#[test]
fn last_of_equal_field_names_wins() {
    let entry = only(
        r#"{"a": {"user_id": true, "x": 1, "x": 2.50, "user_id": "b", "\u0078": [ 3, 1E2 ]}}"#,
    );
    assert_eq!(entry.owner.as_ref().map(Owner::as_str), Some("b"));
    assert_eq!(
        texts(&entry.fields),
        [("x".to_owned(), "[ 3, 1E2 ]".to_owned())].into()
    );
}

#[test]
fn ids_and_field_names_are_measured_without_escapes() {
    let (id, name) = (r"\u0041".repeat(256), r"\u0041".repeat(255));
    let entry = only(&format!(r#"{{"{id}": {{"{name}": 1}}}}"#));
    assert_eq!(entry.id.as_str(), "A".repeat(256));
    assert_eq!(entry.fields.keys().next(), Some(&"A".repeat(255)));
    assert_eq!(faults(format!(r#"{{"{id}b": {{}}}}"#)), ["id-length"]);
    assert_eq!(
        faults(format!(r#"{{"a": {{"{name}b": 1}}}}"#)),
        ["field-name-length"]
    );
}

#[test]
fn nesting_is_bad_from_level_127() {
    assert_eq!(faults(format!("{{{}}}", sample::nested(126))), [""; 0]);
    assert_eq!(faults(format!("{{{}}}", sample::nested(127))), ["too-deep"]);
    let million = sample::nested(1_000_000);
    let file = format!(r#"{{{million}, "b": {{}}}}"#);
    let entries = Entries::new(file.as_bytes()).max_entry(usize::MAX);
    let items: Vec<_> = entries.map(item).collect();
    assert!(matches!(items[..], [Item::Bad(_), Item::Good { .. }]));
}

#[test]
fn an_entry_is_too_large_from_one_byte_over_the_limit() {
    let entry = r#""a":{"b": "c"}"#;
    let limit = entry.len();
    // White space around the key and the value does not count.
    let file = format!("{{ {} \n, {entry} \n}}", entry.replace("\":{", "\"  :  {"));
    assert_eq!(faults(&file), [""; 0]);
    let with_limit = |limit| -> Vec<_> {
        let entries = Entries::new(file.as_bytes()).max_entry(limit);
        entries.map(item).collect()
    };
    assert_eq!(with_limit(limit), items(&file));
    for limit in [limit - 1, 0] {
        let items = with_limit(limit);
        assert_eq!(items.len(), 2);
        for item in items {
            assert!(matches!(item, Item::Bad(bad) if bad.reason == Reason::TooLarge));
        }
    }
}

#[test]
fn a_generated_file_has_the_expected_entries() {
    let mut file = Vec::new();
    let expected = sample::write(&mut file, 500).expect("memory");
    let (mut found, mut ids) = (sample::Expected::default(), HashSet::new());
    for item in Entries::new(&file[..]) {
        found.entries += 1;
        match item.expect("a whole file") {
            Ok(entry) => {
                assert_eq!(entry.position, found.entries);
                found.owned += u64::from(entry.owner.is_some());
                match ids.insert(entry.id) {
                    true => found.ids += 1,
                    false => found.duplicates += 1,
                }
            }
            Err(bad) => found.bad.push((bad.position, bad.reason)),
        }
    }
    assert_eq!(found, expected);
    let reasons: HashSet<_> = expected.bad.iter().map(|&(_, reason)| reason).collect();
    assert_eq!(reasons.len(), 18, "each reason occurs");
    let survey = survey(&file[..]).expect("a whole file");
    assert_eq!((survey.entries, survey.bytes), (500, file.len() as u64));
    assert_eq!(survey.sha256[..], Sha256::digest(&file)[..]);
}

#[test]
fn small_reads_find_the_same_entries() {
    let mut file = "\u{feff}".as_bytes().to_vec();
    sample::write(&mut file, 30).expect("memory");
    for size in [1, 2, 3, 5, 4096] {
        let slow = Slow {
            bytes: &file,
            size,
            calls: 0,
        };
        let found: Vec<_> = Entries::new(slow).map(item).collect();
        assert_eq!(found, items(&file), "{size}");
        let slow = Slow {
            bytes: &file,
            size,
            calls: 0,
        };
        let slow = survey(slow).expect("a whole file");
        assert_eq!(slow, survey(&file[..]).expect("a whole file"));
    }
}

#[test]
fn reasons_and_errors_are_distinct_and_show_nothing_of_the_file() {
    let secret = "hunter2";
    let mut shown = String::new();
    let (mut names, mut messages) = (HashSet::new(), HashSet::new());
    for (text, _) in sample::bad() {
        for place in 0..text.len().min(40) {
            let (before, after) = text.split_at(place);
            let file = [b"{", before, secret.as_bytes(), after, b"}"].concat();
            for item in Entries::new(&file[..]) {
                shown.push_str(&format!("{item:?}"));
                if let Ok(Err(bad)) = item {
                    shown.push_str(&bad.to_string());
                    names.insert(bad.reason.name());
                    messages.insert(bad.reason.to_string());
                }
            }
        }
    }
    assert!(!shown.contains(secret));
    assert_eq!(names.len(), messages.len());
    assert!(names.len() > 12, "{names:?}");

    let file = r#"{"hunter2": {"user_id": "hunter2", "hunter2": "hunter2"}}"#;
    let entries = Entries::new(file.as_bytes());
    let shown = format!("{entries:?}");
    let entry = only(file);
    let shown = format!("{shown} {entry:?} {:?} {:?}", entry.id, entry.owner);
    assert!(!shown.contains(secret));
}
