//! Format 1, compared with test vectors. An independent implementation made the vectors, and
//! Google's Tink opened them.

use base64::engine::{Engine as _, general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    entries::Edited,
    id::SessionId,
    key::{Age, Context, Key, KeyRing, Keys, Purpose, RawKey, Secret},
    metrics::Metrics,
    record::{self, Head, Record, Times},
    seal::{self, HEADROOM, TAG_LEN},
};

struct Vector(Value);

impl Vector {
    fn str(&self, field: &str) -> &str {
        self.0[field]
            .as_str()
            .unwrap_or_else(|| panic!("{} has no {field}", self.comment()))
    }

    fn hex(&self, field: &str) -> Vec<u8> {
        let text = self.str(field).as_bytes();
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16);
        text.chunks(2)
            .map(|pair| byte(pair).expect("hex"))
            .collect()
    }

    fn number<T: TryFrom<u64>>(&self, field: &str) -> T {
        T::try_from(self.0[field].as_u64().expect("a number"))
            .ok()
            .expect("in range")
    }

    fn comment(&self) -> &str {
        self.0["comment"]
            .as_str()
            .expect("every vector has a comment")
    }

    fn context(&self) -> Context<'_> {
        let purpose = match self.0["purpose"].as_str() {
            Some("store") => Purpose::STORE,
            None if self.0.get("owner_tag").is_some() => Purpose::OWNER,
            _ => Purpose::COOKIE,
        };
        self.context_of(purpose)
    }

    fn context_of(&self, purpose: Purpose) -> Context<'_> {
        let audience = self.0["audience"].as_str().unwrap_or_default();
        Context {
            purpose,
            cookie_name: self.str("cookie_name"),
            audience,
        }
    }

    fn secret(&self) -> Secret {
        Secret::unchecked(self.str("secret"))
    }

    fn keys(&self) -> Keys {
        KeyRing::new(self.secret()).derive(self.context())
    }

    fn aad(&self) -> Vec<u8> {
        if self.0.get("aad").is_some() {
            self.hex("aad")
        } else {
            Vec::new()
        }
    }

    fn entries(&self) -> Vec<(String, String)> {
        let entries = self.0["entries"].as_object().expect("entries");
        let json = |value: &Value| value.as_str().expect("JSON text").to_owned();
        entries
            .iter()
            .map(|(key, value)| (key.clone(), json(value)))
            .collect()
    }
}

fn vectors(list: &str) -> Vec<Vector> {
    let all: Value = serde_json::from_str(include_str!("../vectors/format1.json")).expect("JSON");
    all[list]
        .as_array()
        .expect("a list")
        .iter()
        .cloned()
        .map(Vector)
        .collect()
}

/// The vectors that are tokens. The last vector is only an owner's tag.
fn tokens() -> Vec<Vector> {
    let tokens: Vec<_> = vectors("vectors")
        .into_iter()
        .filter(|v| v.0.get("token").is_some())
        .collect();
    assert_eq!(tokens.len(), 10);
    tokens
}

fn derives(vector: &Vector, context: Context<'_>) {
    let raw = RawKey::derive(&vector.secret(), context);
    assert_eq!(raw.enc[..], vector.hex("enc"), "{}", vector.comment());
    assert_eq!(raw.mac[..], vector.hex("mac"), "{}", vector.comment());
    assert_eq!(raw.iv[..], vector.hex("iv"), "{}", vector.comment());
    assert_eq!(raw.id.0[..], vector.hex("kid"), "{}", vector.comment());
}

#[test]
fn keys_match_the_vectors() {
    for vector in tokens() {
        derives(&vector, vector.context());
    }
}

#[test]
fn keys_of_every_purpose_match_the_vectors() {
    let purposes = [
        Purpose::COOKIE,
        Purpose::PAIRED,
        Purpose::STORE,
        Purpose::OWNER,
    ];
    let vectors = vectors("purposes");
    assert_eq!(vectors.len(), purposes.len());
    for (vector, purpose) in vectors.iter().zip(purposes) {
        assert_eq!(vector.str("purpose"), purpose.0);
        derives(vector, vector.context_of(purpose));
    }
}

#[test]
fn tokens_match_the_vectors() {
    for vector in tokens() {
        let plaintext = vector.hex("plaintext");
        let bytes = [&[0; HEADROOM], &*plaintext].concat();
        let random = vector.hex("R").try_into().expect("32 bytes");
        let bytes = seal::seal(vector.keys().current(), &vector.aad(), &random, bytes);
        let mut text = Vec::new();
        seal::append_text(&bytes, &mut text);
        assert_eq!(text, vector.str("token").as_bytes(), "{}", vector.comment());
        assert_eq!(text.len(), seal::token_len(plaintext.len()));
    }
}

#[test]
fn records_match_the_vectors() {
    for vector in tokens().iter().filter(|vector| vector.0["stored"] == false) {
        let mut entries = Edited::new(Vec::new());
        for (key, json) in vector.entries().iter().rev() {
            entries.change(key, Some(json.as_bytes()));
        }
        entries.sort();
        let head = Head {
            id: SessionId::new(vector.hex("id").try_into().expect("16 bytes")),
            times: Times {
                created: vector.number("created_ms"),
                issued: vector.number("issued_s"),
                lifetime: vector.number("lifetime_s"),
                remembered: vector.0["remembered"] == true,
            },
        };
        let owner = vector.0["owner"].as_str();
        let record = record::encode(head, owner, entries.sorted(), 0, TAG_LEN);
        assert_eq!(record, vector.hex("plaintext"), "{}", vector.comment());
    }
}

#[test]
fn every_token_opens_to_its_record() {
    for vector in tokens() {
        let opened = seal::open(
            &vector.keys(),
            &vector.aad(),
            vector.str("token").as_bytes(),
        )
        .unwrap_or_else(|reason| panic!("{}: {reason:?}", vector.comment()));
        assert_eq!(opened.age, Age::Current);
        assert_eq!(opened.bytes[opened.plaintext()], vector.hex("plaintext"));
        let plaintext = opened.plaintext();
        let record = Record::parse(opened.bytes, plaintext).expect("well-formed");
        assert_eq!(record.head.id.as_bytes()[..], vector.hex("id"));
        assert_eq!(
            record.head.times.created,
            vector.number::<u64>("created_ms")
        );
        assert_eq!(record.head.times.issued, vector.number::<u32>("issued_s"));
        assert_eq!(
            record.head.times.lifetime,
            vector.number::<u32>("lifetime_s")
        );
        assert_eq!(record.head.times.remembered, vector.0["remembered"] == true);
        assert_eq!(record.stored, vector.0["stored"] == true);
        assert_eq!(record.owner(), vector.0["owner"].as_str());
        let text = |json: &[u8]| String::from_utf8(json.to_vec()).expect("UTF-8");
        let entries: Vec<_> = record
            .entries()
            .iter()
            .map(|(key, json)| (key.to_owned(), text(json)))
            .collect();
        let mut wanted = vector.entries();
        wanted.sort();
        assert_eq!(entries, wanted, "{}", vector.comment());
    }
}

#[test]
fn authentic_but_malformed_records_are_rejected() {
    let malformed = vectors("authentic_but_malformed");
    assert_eq!(malformed.len(), 13);
    for vector in malformed {
        let opened = seal::open(&vector.keys(), b"", vector.str("token").as_bytes())
            .unwrap_or_else(|reason| panic!("{}: {reason:?}", vector.comment()));
        let plaintext = opened.plaintext();
        assert_eq!(opened.bytes[plaintext.clone()], vector.hex("plaintext"));
        assert!(
            Record::parse(opened.bytes, plaintext).is_err(),
            "{}",
            vector.comment()
        );
    }
}

#[test]
fn a_token_opens_only_in_its_own_context() {
    let tokens = tokens();
    for token in &tokens {
        for other in &tokens {
            let opens =
                seal::open(&other.keys(), &other.aad(), token.str("token").as_bytes()).is_ok();
            let [a, b] = [token, other].map(|v| {
                let context = v.context();
                (
                    context.purpose.0,
                    context.cookie_name,
                    context.audience,
                    v.aad(),
                )
            });
            assert_eq!(
                opens,
                a == b,
                "{} under {}",
                token.comment(),
                other.comment()
            );
        }
    }
}

/// Computes both from the formulas of the format.
#[test]
fn store_keys_and_owner_tags_match_the_vectors() {
    let store = tokens()
        .into_iter()
        .find(|v| v.0.get("store_key").is_some())
        .expect("one");
    let context = store.context();
    let mut hash = Sha256::new_with_prefix(b"tower-sealed-session/v1 store");
    for part in [context.cookie_name, context.audience] {
        hash.update(u16::try_from(part.len()).expect("short").to_be_bytes());
        hash.update(part);
    }
    let ticket = tokens()
        .into_iter()
        .find(|v| v.0["stored"] == true)
        .expect("one");
    let matches = [&store, &ticket].map(|v| {
        let key = hash.clone().chain_update(v.hex("id")).finalize();
        key[..16] == store.hex("store_key")
    });
    assert!(matches.contains(&true));

    let tag = vectors("vectors")
        .into_iter()
        .find(|v| v.0.get("owner_tag").is_some())
        .expect("one");
    let key = Key::derive(&tag.secret(), tag.context());
    let hash = key.mac.hash([tag.str("owner").as_bytes()]);
    assert_eq!(hash[..16], tag.hex("owner_tag"));
}

/// The keys, tags and contents of rows, as this crate's code for stores computes them.
fn vault(vector: &Vector) -> crate::stored::Vault {
    let context = vector.context();
    let keys = KeyRing::new(vector.secret());
    crate::stored::Vault::derive(&keys, context.cookie_name, context.audience)
}

#[test]
fn rows_match_the_vectors() {
    use crate::{
        id::{Family, millis},
        store::StoreKey,
        stored::Content,
    };

    let rows = vectors("rows");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let comment = row.comment();
        let vault = vault(&row);
        let family = Family {
            created: millis(&row.hex("created")),
            random: row.hex("family").try_into().expect("8 bytes"),
        };
        let key = StoreKey::new(row.hex("store_key").try_into().expect("16 bytes"));
        assert_eq!(vault.key(family), key, "{comment}");
        let bytes = URL_SAFE_NO_PAD.decode(row.str("token")).expect("base64");
        let opened = vault
            .open(key, bytes.clone(), Metrics::of_process())
            .ok()
            .expect("it opens");
        let kind = match opened {
            Content::Live(_, record) => {
                assert_eq!(record.head.family(), family);
                assert_eq!(record.entries().get("uid"), Some(&b"42"[..]));
                1
            }
            Content::Ended(_) => 2,
            Content::Moved(to) => {
                assert_ne!(to, family);
                3
            }
            Content::Imported(_) => unreachable!("its key is not that of a family"),
        };
        let plaintext = row.hex("plaintext");
        assert_eq!(kind, plaintext[0], "{comment}");
        let mut buffer = vec![0; crate::seal::HEADROOM];
        buffer.extend_from_slice(&plaintext);
        let random = row.hex("random").try_into().expect("32 bytes");
        assert_eq!(vault.seal(key, &random, buffer)[..], bytes, "{comment}");
        let other = StoreKey::new([0; 16]);
        assert!(
            vault.open(other, bytes, Metrics::of_process()).is_err(),
            "a row opens only under its own key"
        );
    }
}

#[test]
fn imported_rows_match_the_vectors() {
    use crate::{
        entries::Entries,
        stored::{Source, Under},
    };

    let [at_login, by_id] = &vectors("imported")[..] else {
        panic!("two");
    };
    for row in [at_login, by_id] {
        let (vault, owner) = (vault(row), row.str("owner"));
        let (under, since) = match row.0.get("old_id") {
            Some(_) => (Under::OldId(row.str("old_id").as_bytes()), 0x0199_c82c_c000),
            None => (Under::Owner(owner), 0),
        };
        let key = vault.imported_keys(under).next().expect("one");
        assert_eq!(key.as_bytes()[..], row.hex("store_key"));
        let entries = Entries::parse(b"\x03uid\x0242").expect("well-formed");
        let source = Source {
            file: *b"the file",
            position: 17,
        };
        let buffer = source.encode_waiting(since, owner, entries);
        assert_eq!(buffer[crate::seal::HEADROOM..], row.hex("plaintext"));
        let random = row.hex("random").try_into().expect("32 bytes");
        let bytes = URL_SAFE_NO_PAD.decode(row.str("token")).expect("base64");
        assert_eq!(vault.seal(key, &random, buffer)[..], bytes);
        assert!(vault.open(key, bytes, Metrics::of_process()).is_ok());
    }
}

#[test]
fn tags_match_the_vector() {
    let tag = vectors("vectors")
        .into_iter()
        .find(|v| v.0.get("owner_tag").is_some())
        .expect("one");
    assert_eq!(
        vault(&tag).tag(tag.str("owner")).as_bytes()[..],
        tag.hex("owner_tag")
    );
}
