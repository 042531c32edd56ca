use std::collections::BTreeMap;

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};
use serde_json::{Value, value::RawValue};

use super::{super::reason::Reason, *};

/// What must be true of each file.
fn holds(file: &[u8]) -> Result<Vec<Item>, TestCaseError> {
    let items = items(file);
    let (mut position, mut last) = (0, None);
    for (n, item) in items.iter().enumerate() {
        let (place, offset) = match item {
            Item::Good {
                position, offset, ..
            } => (*position, *offset),
            Item::Bad(bad) => (bad.position, bad.offset),
            Item::Fatal(_, offset) => {
                prop_assert_eq!(n + 1, items.len());
                prop_assert!(*offset <= file.len() as u64);
                break;
            }
        };
        position += 1;
        prop_assert_eq!(place, position);
        prop_assert!(last < Some(offset));
        prop_assert!(offset < file.len() as u64);
        last = Some(offset);
        if matches!(item, Item::Good { .. }) {
            prop_assert_eq!(file[offset as usize], b'"');
        }
    }
    match (survey(file), items.last()) {
        (Err(error), Some(Item::Fatal(name, offset))) => {
            prop_assert_eq!((error.name(), error.offset()), (*name, *offset));
        }
        (Ok(survey), _) => prop_assert_eq!(survey.entries, position),
        (Err(error), _) => prop_assert!(false, "{error}"),
    }
    let slow = Slow {
        bytes: file,
        size: 7,
        calls: 0,
    };
    let slowly: Vec<_> = Entries::new(slow).map(item).collect();
    prop_assert_eq!(&slowly, &items);
    Ok(items)
}

/// Whether `serde_json` can parse the whole file.
fn is_valid_json(file: &[u8]) -> bool {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    serde_json::from_slice::<BTreeMap<String, BTreeMap<String, Value>>>(file).is_ok()
}

/// Whether it is more than a broken rule of ours.
fn is_json_fault(item: &Item) -> bool {
    match item {
        Item::Good { .. } => false,
        Item::Fatal(..) => true,
        Item::Bad(bad) => !matches!(
            bad.reason,
            Reason::IdLength
                | Reason::TooLarge
                | Reason::FieldName
                | Reason::OwnerType
                | Reason::OwnerLength
        ),
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Insert(usize, u8),
    Delete(usize, usize),
    Truncate(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![
        prop::sample::select(&b"{}[],:\"\\ \n\0\xff0aNu'-"[..]),
        any::<u8>(),
    ];
    prop_oneof![
        4 => (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        4 => (any::<usize>(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        4 => (any::<usize>(), 1..20_usize).prop_map(|(at, count)| Damage::Delete(at, count)),
        1 => any::<usize>().prop_map(Damage::Truncate),
    ]
}

impl Damage {
    /// Returns the first place that is different.
    fn apply(&self, file: &mut Vec<u8>) -> usize {
        let place = |at: usize| at % file.len().max(1);
        match *self {
            Self::Flip(at, byte) => {
                let at = place(at);
                if let Some(old) = file.get_mut(at) {
                    *old = byte;
                }
                at
            }
            Self::Insert(at, byte) => {
                let at = place(at);
                file.insert(at, byte);
                at
            }
            Self::Delete(at, count) => {
                let at = place(at);
                file.drain(at..file.len().min(at + count));
                at
            }
            Self::Truncate(at) => {
                let at = place(at);
                file.truncate(at);
                at
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["\\PC{0,6}", ".{0,6}", r#"[\[\]{},:"\\]{0,6}"#];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(".{0,4}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn owner() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{1,9}".prop_map(Value::from),
    ]
}

/// The text of a valid file, in the forms that programs write.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let entry = (
        btree_map(".{1,6}", value(), 0..4),
        prop::option::of(owner()),
    );
    let entries = btree_map(".{1,9}", entry, 0..6);
    (entries, any::<bool>(), any::<bool>()).prop_map(|(entries, is_pretty, is_ascii)| {
        let entries: BTreeMap<_, _> = entries
            .into_iter()
            .map(|(id, (mut fields, owner))| {
                fields.extend(owner.map(|owner| ("user_id".to_owned(), owner)));
                (id, fields)
            })
            .collect();
        let text = match is_pretty {
            true => serde_json::to_string_pretty(&entries),
            false => serde_json::to_string(&entries),
        };
        let text = text.expect("text keys");
        match is_ascii {
            true => ascii(&text).into_bytes(),
            false => text.into_bytes(),
        }
    })
}

/// As Python's `json.dump` does without `ensure_ascii=False`.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char.is_ascii() {
            true => out.push(char),
            false => char
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// What `serde_json` makes of a valid file.
fn parsed_whole(file: &[u8]) -> BTreeMap<String, (Option<String>, BTreeMap<String, String>)> {
    type Whole = BTreeMap<String, BTreeMap<String, Box<RawValue>>>;
    let whole: Whole = serde_json::from_slice(file).expect("a valid file");
    whole
        .into_iter()
        .map(|(id, mut fields)| {
            let owner = fields.remove("user_id").and_then(|value| {
                match serde_json::from_str(value.get()).expect("valid") {
                    Value::Null => None,
                    Value::String(text) => Some(text),
                    other => Some(other.to_string()),
                }
            });
            (id, (owner, texts(&fields)))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
        holds(&[b"{\"a\":", &bytes[..]].concat())?;
    }

    /// Bytes that mean something in JSON reach more of the code.
    #[test]
    fn any_marks_are_read_without_panic(
        bytes in vec(prop::sample::select(&b"{}[],:\"\"\\ ua0-\xef\xbb\xbf"[..]), 0..60),
    ) {
        holds(&bytes)?;
        let file = [b"{", &bytes[..], b"}"].concat();
        let items = holds(&file)?;
        prop_assert_eq!(!items.iter().any(is_json_fault), is_valid_json(&file));
    }

    #[test]
    fn valid_files_give_what_serde_json_gives(file in file()) {
        let mut entries = BTreeMap::new();
        for item in holds(&file)? {
            let Item::Good { id, owner, fields, .. } = item else {
                return Err(TestCaseError::fail(format!("{item:?}")));
            };
            prop_assert!(entries.insert(id, (owner, fields)).is_none());
        }
        prop_assert_eq!(entries, parsed_whole(&file));
    }

    #[test]
    fn damage_does_not_change_the_entries_before_it(
        file in file(),
        damages in vec(damage(), 1..4),
    ) {
        let before = holds(&file)?;
        let mut damaged = file.clone();
        let first = damages.iter().map(|damage| damage.apply(&mut damaged)).min();
        let first = first.unwrap_or(0) as u64;
        let after = holds(&damaged)?;
        // An entry is whole if the next one begins before the damage.
        let whole = before
            .iter()
            .skip(1)
            .filter(|item| matches!(item, Item::Good { offset, .. } if *offset < first))
            .count();
        prop_assert!(after.len() >= whole);
        prop_assert_eq!(&after[..whole], &before[..whole]);
        // No fault is found where `serde_json` finds none, and none is missed.
        prop_assert_eq!(!after.iter().any(is_json_fault), is_valid_json(&damaged));
    }
}
