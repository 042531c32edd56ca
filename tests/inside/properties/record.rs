//! Records and entries.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{bytes, config, name};
use crate::{
    clock::MAX_MILLIS,
    entries::{Edited, Entries, Merge},
    id::SessionId,
    record::{self, Head, Record, Times},
};

type Map = BTreeMap<String, Vec<u8>>;

/// The model of a record: plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain {
    head: Head,
    stored: bool,
    owner: Option<String>,
    entries: Map,
}

fn number(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(max), 0..=max]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => bytes(1..20), 2 => bytes(120..140), 1 => bytes(16_380..16_390)]
}

prop_compose! {
    fn head()(
        id: [u8; 16], created in number(MAX_MILLIS),
        issued in number(u32::MAX.into()), lifetime in number(u32::MAX.into()), remembered: bool,
    ) -> Head {
        let [issued, lifetime] = [issued, lifetime].map(|seconds| seconds as u32);
        Head { id: SessionId::new(id), times: Times { created, issued, lifetime, remembered } }
    }
}

prop_compose! {
    fn plain()(
        head in head(), owner in proptest::option::of(name()),
        entries in proptest::collection::btree_map(name(), value(), 0..6),
    ) -> Plain {
        Plain { head, stored: false, owner, entries }
    }
}

fn set_all<'a>(entries: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) -> Vec<u8> {
    let mut edited = Edited::new(Vec::new());
    for (key, value) in entries {
        edited.change(key, Some(value));
    }
    edited.sort();
    edited.sorted().as_bytes().to_vec()
}

fn map(entries: Entries<'_>) -> Map {
    let pairs = entries.iter();
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_vec()))
        .collect()
}

impl Plain {
    fn encode(&self) -> Vec<u8> {
        let entries = set_all(&self.entries);
        record::encode(
            self.head,
            self.owner.as_deref(),
            Entries::trusted(&entries),
            0,
            0,
        )
    }

    fn of(record: &Record) -> Self {
        Self {
            head: record.head,
            stored: record.stored,
            owner: record.owner().map(str::to_owned),
            entries: map(record.entries()),
        }
    }

    /// Reads a record as the description of the format says, without optimisations.
    fn read(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let flags = number_of(rest, 1)?;
        let head = Head {
            id: SessionId::new(take(rest, 16)?.try_into().ok()?),
            times: Times {
                created: number_of(rest, 6)?,
                issued: u32::try_from(number_of(rest, 4)?).ok()?,
                lifetime: u32::try_from(number_of(rest, 4)?).ok()?,
                remembered: flags & 1 == 1,
            },
        };
        let owner = match flags >> 1 & 1 {
            0 => None,
            _ => Some(text_of(rest)?),
        };
        let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
        while rest.first().is_some_and(|&len| len != 0) {
            let key = text_of(rest)?;
            let digits = rest.iter().take_while(|&&byte| byte >= 128).count() + 1;
            if digits > 3 {
                return None;
            }
            let number = take(rest, digits)?.iter().rev();
            let len = number.fold(0, |len, digit| len * 128 + usize::from(digit % 128));
            if len == 0 || leb128(len).len() != digits {
                return None;
            }
            entries.push((key, take(rest, len)?.to_vec()));
        }
        let ascending = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let stored = flags >> 2 == 1;
        let sound = flags < 8 && ascending && (entries.is_empty() || !stored);
        (sound && rest.iter().all(|&byte| byte == 0)).then(|| Self {
            head,
            stored,
            owner,
            entries: entries.into_iter().collect(),
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn number_of(rest: &mut &[u8], len: usize) -> Option<u64> {
    let bytes = take(rest, len)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number * 256 + u64::from(*byte)),
    )
}

/// A length in one byte, not 0, then UTF-8 text of that many bytes.
fn text_of(rest: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(number_of(rest, 1)?).ok()?;
    let text = String::from_utf8(take(rest, len)?.to_vec()).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

/// Digits in base 128, least significant first.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    while number >= 128 {
        digits.push((number % 128 + 128) as u8);
        number /= 128;
    }
    digits.push(number as u8);
    digits
}

/// The bytes of a record, of which some are changed, removed or inserted.
fn corrupted() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<Index>(),
        prop_oneof![Just(0), Just(1), Just(2), Just(0x80), any::<u8>()],
        0..3,
    );
    (plain(), vec(edit, 0..4), 0..3_u8).prop_map(|(plain, edits, stored)| {
        let mut bytes = plain.encode();
        bytes[0] |= if stored == 0 { 4 } else { 0 };
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn parse(bytes: &[u8]) -> Option<Record> {
    Record::parse(bytes.to_vec(), 0..bytes.len()).ok()
}

#[derive(Clone, Debug)]
enum Op {
    Set(String, Vec<u8>),
    Remove(String),
    Get(String),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (name(), value()).prop_map(|(key, value)| Op::Set(key, value)),
        2 => name().prop_map(Op::Remove),
        1 => name().prop_map(Op::Get),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn records_round_trip(plain in plain()) {
        let bytes = plain.encode();
        let record = parse(&bytes).expect("well-formed");
        prop_assert_eq!(Plain::of(&record), plain.clone());
        let entries = record.entries().as_bytes().len();
        prop_assert_eq!(bytes.len(), record::encoded_len(plain.owner.as_ref().map(String::len), entries));
        prop_assert_eq!(bytes.len() % 16, 0);
    }

    /// The position in the buffer and the bytes around the record make no difference.
    #[test]
    fn a_record_is_read_at_any_position(plain in plain(), before in bytes(0..60), after in bytes(0..60)) {
        let bytes = plain.encode();
        let place = before.len()..before.len() + bytes.len();
        let record = Record::parse([before, bytes, after].concat(), place).expect("well-formed");
        prop_assert_eq!(Plain::of(&record), plain);
    }

    #[test]
    fn corrupted_records_are_read_as_in_the_model(bytes in corrupted()) {
        prop_assert_eq!(parse(&bytes).as_ref().map(Plain::of), Plain::read(&bytes));
    }

    #[test]
    fn any_bytes_are_read_as_in_the_model(bytes in bytes(0..200)) {
        prop_assert_eq!(parse(&bytes).as_ref().map(Plain::of), Plain::read(&bytes));
    }

    #[test]
    fn records_that_parse_encode_to_the_same_bytes_except_padding(bytes in corrupted()) {
        if let Some(record) = parse(&bytes) {
            let mut again = Plain::of(&record).encode();
            again[0] |= if record.stored { 4 } else { 0 };
            let content = bytes.len() - bytes.iter().rev().take_while(|&&byte| byte == 0).count();
            let shorter = content.min(again.len());
            prop_assert_eq!(&again[..shorter], &bytes[..shorter]);
            prop_assert!(again[shorter..].iter().all(|&byte| byte == 0) && shorter == content);
        }
    }

    #[test]
    fn padding_is_any_number_of_zeros(plain in plain(), zeros in 0..70_usize, nonzero in 1..=255_u8) {
        let entries = set_all(&plain.entries);
        let mut bytes = plain.encode();
        bytes.truncate(31 + plain.owner.as_ref().map_or(0, |owner| 1 + owner.len()) + entries.len());
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(parse(&bytes).as_ref().map(Plain::of), Some(plain));
        bytes.extend([0, nonzero]);
        prop_assert!(parse(&bytes).is_none());
    }

    #[test]
    fn entries_behave_like_a_sorted_map(ops in vec(op(), 1..16)) {
        let (mut edited, mut model) = (Edited::new(Vec::new()), Map::new());
        for op in ops {
            let (key, value) = match &op {
                Op::Get(key) => {
                    prop_assert_eq!(edited.get(key), model.get(key).map(|value| &value[..]));
                    continue;
                }
                Op::Set(key, value) => (key, Some(&value[..])),
                Op::Remove(key) => (key, None),
            };
            let sizes = edited.sizes_with(key, value);
            let len = edited.change(key, value);
            match op {
                Op::Set(key, value) => model.insert(key, value),
                Op::Remove(key) | Op::Get(key) => model.remove(&key),
            };
            edited.sort();
            let bytes = edited.sorted().as_bytes();
            prop_assert_eq!(len, bytes.len());
            let lengths = model.iter().map(|(key, value)| (key.clone(), value.len()));
            prop_assert_eq!(sizes.into_iter().collect::<BTreeMap<_, _>>(), lengths.collect());
            prop_assert_eq!(map(Entries::parse(bytes).expect("canonical")), model.clone());
        }
    }

    #[test]
    fn many_changes_at_once_equal_the_same_changes_in_sequence(before in vec((name(), value()), 0..8), ops in vec(op(), 0..12)) {
        let before = set_all(before.iter().map(|(key, value)| (key, value)));
        let changes: Vec<(&str, Option<&[u8]>)> = ops.iter().map(|op| match op {
            Op::Set(key, value) => (&**key, Some(&**value)),
            Op::Remove(key) | Op::Get(key) => (&**key, None),
        }).collect();
        let mut edited = Edited::copy(Entries::trusted(&before));
        for (key, value) in &changes {
            edited.change(key, *value);
        }
        edited.sort();
        let one_by_one = edited.sorted().as_bytes();
        let merge = Merge::new(Entries::trusted(&before), changes);
        prop_assert_eq!(merge.len(), one_by_one.len());
        let sizes: BTreeMap<_, _> = merge.sizes().into_iter().collect();
        let lengths = edited.sorted().iter().map(|(key, value)| (key.to_owned(), value.len()));
        prop_assert_eq!(sizes, lengths.collect());
        prop_assert_eq!(merge.apply(), one_by_one);
    }

    #[test]
    fn the_order_of_insertion_does_not_change_the_bytes(entries in vec((name(), value()), 0..8), at: Index) {
        let entries: Vec<_> = entries.into_iter().collect::<Map>().into_iter().collect();
        let mut reordered = entries.clone();
        if !reordered.is_empty() {
            reordered.rotate_left(at.index(entries.len()));
        }
        let set = |list: &[(String, Vec<u8>)]| set_all(list.iter().map(|(key, value)| (key, value)));
        let bytes = set(&entries);
        prop_assert_eq!(&set(&reordered), &bytes);
        reordered.reverse();
        prop_assert_eq!(set(&reordered), bytes);
    }

    #[test]
    fn a_change_that_is_undone_leaves_the_same_bytes(plain in plain(), key in name(), other in value()) {
        let before = set_all(&plain.entries);
        let set = |bytes: &[u8], value: Option<&[u8]>| {
            let mut edited = Edited::copy(Entries::trusted(bytes));
            edited.change(&key, value);
            edited.sorted().as_bytes().to_vec()
        };
        let changed = set(&before, Some(&other));
        prop_assert_eq!(set(&changed, Entries::trusted(&before).get(&key)), before.clone());
        prop_assert_eq!(set(&set(&before, None), Entries::trusted(&before).get(&key)), before);
    }

    #[test]
    fn lengths_are_encoded_in_base_128(len in prop_oneof![1..300_usize, 16_000..17_000_usize, 60_000..70_000_usize]) {
        let mut edited = Edited::new(Vec::new());
        edited.change("k", Some(&vec![7; len]));
        let bytes = edited.sorted().as_bytes();
        let digits = leb128(len);
        prop_assert_eq!(&bytes[..2], b"\x01k");
        prop_assert_eq!(&bytes[2..2 + digits.len()], &digits[..]);
        prop_assert_eq!(bytes.len(), 2 + digits.len() + len);
    }
}
