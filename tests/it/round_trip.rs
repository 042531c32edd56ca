//! What `insert`, `update` and `write` accept, `get` and `read` return unchanged.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower_sealed_session::{ErrorKind, Session, SessionLayer, testing};

use crate::support::layer;

/// The maximum nesting of a value.
const DEEPEST: usize = 126;

/// A value of each type of serde's data model, nested in each way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Node {
    Unit,
    UnitStruct(Nothing),
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Bytes(#[serde(with = "bytes")] Vec<u8>),
    Optional(Option<Box<Node>>),
    Newtype(Wrapper),
    List(Vec<Node>),
    Pair(Box<(Node, Node)>),
    TupleStruct(Box<Three>),
    Tuple(Box<Node>, u8),
    Struct { first: Box<Node>, second: u8 },
    Whole(Box<Both>),
    Named(BTreeMap<String, Node>),
    ByBool(BTreeMap<bool, Node>),
    ByInteger(BTreeMap<i64, Node>),
    ByWide(BTreeMap<u128, Node>),
    ByChar(BTreeMap<char, Node>),
    ByVariant(BTreeMap<Suit, Node>),
    Tagged(Tagged),
    Adjacent(Adjacent),
    Untagged(Untagged),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(Box<Node>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Three(Node, Node, Node);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Both {
    left: Node,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    right: Option<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Suit {
    Hearts,
    Spades,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Plain,
    Holds { node: Box<Node> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "what")]
enum Adjacent {
    Holds(Box<Node>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Node(Box<Node>),
}

mod bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Vec::deserialize(from)
    }
}

fn leaf() -> impl Strategy<Value = Node> {
    prop_oneof![
        Just(Node::Unit),
        Just(Node::UnitStruct(Nothing)),
        any::<bool>().prop_map(Node::Bool),
        any::<i8>().prop_map(Node::I8),
        any::<i16>().prop_map(Node::I16),
        any::<i32>().prop_map(Node::I32),
        any::<i64>().prop_map(Node::I64),
        any::<i128>().prop_map(Node::I128),
        any::<u8>().prop_map(Node::U8),
        any::<u16>().prop_map(Node::U16),
        any::<u32>().prop_map(Node::U32),
        any::<u64>().prop_map(Node::U64),
        any::<u128>().prop_map(Node::U128),
        any::<u32>().prop_map(|bits| Node::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Node::F64(f64::from_bits(bits))),
        any::<char>().prop_map(Node::Char),
        any::<String>().prop_map(Node::Text),
        collection::vec(any::<u8>(), 0..9).prop_map(Node::Bytes),
        Just(Node::Optional(None)),
        Just(Node::Tagged(Tagged::Plain)),
    ]
}

/// A value with one more level around it.
fn around(node: Node, kind: u8) -> Node {
    let inner = Box::new(node);
    match kind % 16 {
        0 => Node::Optional(Some(inner)),
        1 => Node::Newtype(Wrapper(inner)),
        2 => Node::List(vec![*inner]),
        3 => Node::Pair(Box::new((Node::Unit, *inner))),
        4 => Node::TupleStruct(Box::new(Three(Node::Unit, *inner, Node::Unit))),
        5 => Node::Tuple(inner, 1),
        6 => Node::Struct {
            first: inner,
            second: 2,
        },
        7 => Node::Whole(Box::new(Both {
            left: *inner,
            right: None,
        })),
        8 => Node::Named([("a \"key\"".to_owned(), *inner)].into()),
        9 => Node::ByBool([(true, *inner)].into()),
        10 => Node::ByInteger([(-1, *inner)].into()),
        11 => Node::ByWide([(u128::MAX, *inner)].into()),
        12 => Node::ByChar([('\u{1F600}', *inner)].into()),
        13 => Node::ByVariant([(Suit::Spades, *inner)].into()),
        14 => Node::Tagged(Tagged::Holds { node: inner }),
        _ => match kind & 16 {
            0 => Node::Adjacent(Adjacent::Holds(inner)),
            _ => Node::Untagged(Untagged::Node(inner)),
        },
    }
}

/// Wide values, and narrow ones that are up to 200 levels deep.
fn nodes() -> impl Strategy<Value = Node> {
    let wide = leaf().prop_recursive(4, 24, 4, |inner| {
        let two = (inner.clone(), any::<u8>()).prop_map(|(node, kind)| around(node, kind));
        prop_oneof![
            two,
            collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            collection::btree_map(any::<String>(), inner, 0..4).prop_map(Node::Named),
        ]
    });
    let deep = (leaf(), collection::vec(any::<u8>(), 0..100))
        .prop_map(|(leaf, kinds)| kinds.into_iter().fold(leaf, around));
    let lists = (leaf(), 0..200_usize)
        .prop_map(|(leaf, depth)| (0..depth).fold(leaf, |node, _| around(node, 2)));
    prop_oneof![wide, deep, lists]
}

/// Whether a value is read from its own JSON as it was.
fn is_lossless<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> bool {
    let json = serde_json::to_string(value);
    json.is_ok_and(|json| serde_json::from_str::<T>(&json).is_ok_and(|back| back == *value))
}

fn next_request(layer: &SessionLayer, session: &Session) -> Session {
    let cookie = testing::cookie(layer, session).expect("it fits");
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::SET_COOKIE, cookie);
    testing::received(layer, &headers).expect("a session")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn accepted_values_come_back_unchanged(value in nodes()) {
        let layer = layer();
        let session = testing::session(&layer);
        session.insert("before", 1).expect("small");
        if let Err(error) = session.insert("v", &value) {
            prop_assert!(matches!(error.kind(), ErrorKind::Encoding | ErrorKind::TooLarge));
            prop_assert_eq!(session.keys(), ["before"]);
            return Ok(());
        }
        let received = next_request(&layer, &session);
        for session in [session, received] {
            match session.get::<Node>("v") {
                Ok(read) => prop_assert!(!is_lossless(&value) || read == Some(value.clone())),
                Err(error) => prop_assert!(!is_lossless(&value), "{}", error),
            }
            if is_lossless(&value) {
                let whole: BTreeMap<String, Node> = session
                    .remove("before")
                    .then(|| session.read().expect("values of that type"))
                    .expect("it was there");
                prop_assert_eq!(whole, BTreeMap::from([("v".to_owned(), value.clone())]));
            }
        }
    }

    #[test]
    fn finite_floats_come_back_with_the_same_bits(wide: u64, narrow: u32) {
        let layer = layer();
        let session = testing::session(&layer);
        let (wide, narrow) = (f64::from_bits(wide), f32::from_bits(narrow));
        let before = session.insert("wide", wide);
        prop_assert_eq!(before.is_ok(), wide.is_finite());
        prop_assert_eq!(session.insert("narrow", narrow).is_ok(), narrow.is_finite());
        if wide.is_finite() {
            let read = session.get::<f64>("wide").expect("a float").expect("inserted");
            prop_assert_eq!(read.to_bits(), wide.to_bits());
        }
        if narrow.is_finite() {
            let read = session.get::<f32>("narrow").expect("a float").expect("inserted");
            prop_assert_eq!(read.to_bits(), narrow.to_bits());
        }
    }
}

/// A float that a fast parser reads as its neighbour. It was written back as another value, so that
/// each read-modify-write sent a cookie.
#[test]
fn float_written_back_is_no_change() {
    let layer = layer();
    let session = testing::session(&layer);
    let value = 0.914_615_523_521_910_7_f64;
    session.insert("v", value).expect("small");
    let received = next_request(&layer, &session);
    let read = received
        .get::<f64>("v")
        .expect("a float")
        .expect("inserted");
    assert_eq!(read.to_bits(), value.to_bits());
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

impl Tree {
    /// A tree with two levels of JSON for each of `generations`.
    fn deep(generations: usize) -> Self {
        let grow = |tree, _| Self {
            children: vec![tree],
        };
        (1..generations).fold(Self::default(), grow)
    }
}

#[test]
fn nesting_that_cannot_be_read_again_is_refused() {
    let layer = layer();
    for generations in [1, 62, 63, 64, 65, 100] {
        let session = testing::session(&layer);
        session.insert("other", 1).expect("small");
        let tree = Tree::deep(generations);
        let whole = BTreeMap::from([("tree", &tree)]);
        let fits = 2 * generations <= DEEPEST;
        let inserted = session.insert("tree", &tree).map_err(|error| error.kind());
        assert_eq!(inserted.is_ok(), fits, "{generations}");
        let written = session.write(&whole).map_err(|error| error.kind());
        assert_eq!(written, inserted);
        if fits {
            assert_eq!(session.get("tree").expect("a tree"), Some(tree));
            session.remove("other");
            let read: BTreeMap<String, Tree> = session.read().expect("trees");
            assert_eq!(read.len(), 1);
        } else {
            assert_eq!(inserted, Err(ErrorKind::Encoding));
            assert_eq!(session.keys(), ["other"]);
        }
    }
}

#[test]
fn tree_that_grows_by_updates_stays_readable() {
    let layer = layer();
    let session = testing::session(&layer);
    let grow = |tree: Option<Tree>| Tree {
        children: tree.into_iter().collect(),
    };
    let refused = (0..100).find_map(|_| session.update("tree", grow).err());
    assert_eq!(refused.expect("too deep").kind(), ErrorKind::Encoding);
    let tree = session.get::<Tree>("tree").expect("a tree");
    assert_eq!(tree, Some(Tree::deep(DEEPEST / 2)));
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_every_mutator() {
    #[derive(Serialize)]
    struct Whole {
        v: Vec<Option<f32>>,
    }
    let layer = layer();
    let session = testing::session(&layer);
    session.insert("v", 1.5).expect("small");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refusals = [
            session.insert("v", bad),
            session.insert("v", Some(bad)),
            session.insert("v", (1, [bad])),
            session.insert("v", bad as f32),
            session.update("v", move |_: Option<f64>| bad).map(drop),
            session.write(&BTreeMap::from([("v", bad)])),
            session.write(&Whole {
                v: vec![None, Some(bad as f32)],
            }),
        ];
        for refused in refusals {
            let error = refused.expect_err("it has no JSON");
            assert_eq!(error.kind(), ErrorKind::Encoding);
            let text = error.to_string();
            assert!(
                text.ends_with(": JSON has no NaN and no infinity"),
                "{text}"
            );
        }
    }
    assert_eq!(session.get::<f64>("v").expect("a float"), Some(1.5));
}

/// serde keeps the content of these types in between, and then cannot read it. `insert` says so.
#[test]
fn types_that_serde_cannot_read_are_of_the_wrong_type() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Wide {
        Holds { number: u128 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Counts {
        ByNumber(BTreeMap<u8, u8>),
    }
    let session = testing::session(&layer());
    session
        .insert("a", Wide::Holds { number: 1 })
        .expect("small");
    let counts = Counts::ByNumber([(1, 1)].into());
    session.insert("b", counts).expect("small");
    let wide = session.get::<Wide>("a").expect_err("not readable");
    let counts = session.get::<Counts>("b").expect_err("not readable");
    assert_eq!(wide.kind(), ErrorKind::WrongType);
    assert_eq!(counts.kind(), ErrorKind::WrongType);
}

/// A map as the whole session has the same keys as a map inside a value.
#[test]
fn whole_session_accepts_the_keys_that_values_accept() {
    fn holds<K>(pairs: [(K, u8); 2])
    where
        K: Clone + Ord + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let layer = layer();
        let map = BTreeMap::from(pairs);
        let session = testing::session(&layer);
        session.insert("map", &map).expect("as a value");
        assert_eq!(session.get("map").expect("a map"), Some(map.clone()));

        let session = testing::session(&layer);
        session.write(&map).expect("as the session");
        assert_eq!(session.read::<BTreeMap<K, u8>>().expect("a map"), map);
        session.write(&Some(&map)).expect("as an optional session");
    }
    holds([(true, 1), (false, 2)]);
    holds([(u128::MAX, 1), (0, 2)]);
    holds([(i128::MIN, 1), (0, 2)]);
    holds([(u8::MAX, 1), (0, 2)]);
    holds([(i64::MIN, 1), (0, 2)]);
    holds([('a', 1), ('\u{e9}', 2)]);
    holds([(Suit::Hearts, 1), (Suit::Spades, 2)]);
    holds([("text".to_owned(), 1), ("\"quoted\"".to_owned(), 2)]);
    holds([(Some("text".to_owned()), 1), (Some("more".to_owned()), 2)]);

    let session = testing::session(&layer());
    for (whole, kind) in [
        (
            session.write(&BTreeMap::from([(vec![1], 1)])),
            ErrorKind::Encoding,
        ),
        (
            session.write(&BTreeMap::from([((), 1)])),
            ErrorKind::Encoding,
        ),
        (
            session.write(&BTreeMap::from([("", 1)])),
            ErrorKind::InvalidKey,
        ),
        (session.write(&1), ErrorKind::Encoding),
        (session.write(&Suit::Hearts), ErrorKind::Encoding),
        (
            session.write(&None::<BTreeMap<u8, u8>>),
            ErrorKind::Encoding,
        ),
    ] {
        assert_eq!(whole.expect_err("refused").kind(), kind);
    }
    let refused = session.insert("map", BTreeMap::from([(vec![1], 1)]));
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Encoding);
    assert!(session.is_empty());
}

#[cfg(feature = "memory")]
mod in_a_store {
    use std::sync::{Arc, Mutex};

    use axum::{Router, extract::State, routing::get};
    use tower_sealed_session::{Error, store::MemoryStore};

    use super::*;
    use crate::support::Visitor;

    type Value = Arc<Mutex<Node>>;

    /// Inserts the value after another request with the same cookie has saved the session, so that
    /// the insert is replayed on what that request saved.
    async fn insert(
        State((app, value)): State<(Arc<Mutex<Option<Router>>>, Value)>,
        session: Session,
        headers: http::HeaderMap,
    ) -> Result<(), Error> {
        let app = app.lock().expect("unlocked").clone().expect("the app");
        let cookies = headers.get("cookie").expect("a cookie").as_bytes();
        let between = crate::support::get_with(&app, "/between", &[cookies]).await;
        assert_eq!(between.status, 200);
        let value = value.lock().expect("unlocked").clone();
        session.insert("v", value)
    }

    async fn read(State((_, value)): State<(Arc<Mutex<Option<Router>>>, Value)>, session: Session) {
        let value = value.lock().expect("unlocked").clone();
        assert!(session.contains_key("between"));
        if is_lossless(&value) {
            assert_eq!(session.get("v").expect("a node"), Some(value));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn accepted_values_come_back_unchanged_after_a_replay(value in nodes()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let value = Arc::new(Mutex::new(value));
                let whole = Arc::new(Mutex::new(None));
                let between = |session: Session| async move { session.insert("between", 1) };
                let app = Router::new()
                    .route("/", get(|session: Session| async move { session.insert("n", 1) }))
                    .route("/between", get(between))
                    .route("/insert", get(insert))
                    .route("/read", get(read))
                    .with_state((whole.clone(), value))
                    .layer(layer().store(MemoryStore::new()));
                *whole.lock().expect("unlocked") = Some(app.clone());
                let mut visitor = Visitor::default();
                visitor.get(&app, "/").await;
                if visitor.get(&app, "/insert").await.status == 200 {
                    assert_eq!(visitor.get(&app, "/read").await.status, 200);
                }
                *whole.lock().expect("unlocked") = None;
            });
        }
    }
}
