//! Changed tokens, mixtures of two tokens, and tokens in a wrong context do not open.
//!
//! A typical bug in encrypt-then-MAC is a check of the wrong bytes in one of the code paths. The
//! tests therefore cover all paths: both purposes, four sizes, and every change instead of a
//! sample.

use crate::{
    key::{Age, Context, Key, KeyId, KeyRing, Keys, Purpose, Secret},
    seal::{self, HEAD_LEN, HEADROOM, TAG_LEN, Unsealed},
};

/// Lengths of plaintexts: the shortest record, one that ends inside a base64 group, a usual one,
/// and a large one.
const SIZES: [usize; 4] = [32, 81, 256, 1024];
const STORE: Purpose = Purpose("store");
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn context(purpose: Purpose) -> Context<'static> {
    Context {
        purpose,
        cookie_name: "__Host-Http-session",
        audience: "",
    }
}

fn secret(n: usize) -> Secret {
    Secret::unchecked(&format!("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXw{n:03}"))
}

/// The keys of one purpose, and the additional data that is used with them.
struct Target {
    keys: Keys,
    aad: &'static [u8],
}

impl Target {
    fn both() -> [Self; 2] {
        [(Purpose::COOKIE, &b""[..]), (STORE, b"0123456789abcdef")].map(|(purpose, aad)| Self {
            keys: KeyRing::new(secret(1)).derive(context(purpose)),
            aad,
        })
    }

    fn seal(&self, len: usize, fill: u8) -> Vec<u8> {
        let bytes = vec![fill; HEADROOM + len];
        seal::seal(self.keys.current(), self.aad, &[fill; 32], bytes).to_vec()
    }

    fn opens_text(&self, text: &[u8]) -> bool {
        seal::open(&self.keys, self.aad, text).is_ok()
    }

    fn opens(&self, bytes: &[u8]) -> bool {
        self.opens_text(&text(bytes))
    }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal::append_text(bytes, &mut out);
    out
}

/// Runs `attack` for both purposes and all sizes, each on a token that opens. Returns the number of
/// cases.
fn attack_all(attack: impl Fn(&Target, Vec<u8>) -> usize) -> usize {
    let mut cases = 0;
    for target in Target::both() {
        for len in SIZES {
            let token = target.seal(len, 7);
            assert!(target.opens(&token));
            cases += attack(&target, token);
        }
    }
    cases
}

#[test]
fn a_token_with_a_flipped_bit_is_rejected() {
    let cases = attack_all(|target, mut bytes| {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!target.opens(&bytes), "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(target.opens(&bytes));
        8 * bytes.len()
    });
    assert_eq!(
        cases,
        2 * 8 * SIZES.map(|len| len + 53).iter().sum::<usize>()
    );
}

/// All 255 other bytes. Some of them are base64 characters that differ only in unused bits, and
/// some are not base64.
#[test]
fn a_token_with_a_changed_character_is_rejected() {
    let cases = attack_all(|target, bytes| {
        let mut text = text(&bytes);
        for at in 0..text.len() {
            let right = text[at];
            for wrong in (0..=255).filter(|&byte| byte != right) {
                text[at] = wrong;
                assert!(!target.opens_text(&text), "{wrong:#x} at {at}");
            }
            text[at] = right;
        }
        255 * text.len()
    });
    let chars = SIZES.map(seal::token_len).iter().sum::<usize>();
    assert_eq!(cases, 2 * 255 * chars);
}

#[test]
fn truncated_and_extended_tokens_are_rejected() {
    attack_all(|target, bytes| {
        let text = text(&bytes);
        for at in 0..text.len() {
            assert!(!target.opens_text(&text[..at]), "the first {at} characters");
            assert!(!target.opens_text(&text[at + 1..]), "from {at} on");
            let without = [&text[..at], &text[at + 1..]].concat();
            assert!(!target.opens_text(&without), "without {at}");
            let twice = [&text[..=at], &text[at..]].concat();
            assert!(!target.opens_text(&twice), "{at} twice");
        }
        for at in 0..=text.len() {
            for &byte in ALPHABET.iter().chain(b"=+/ \t\r\n\0;,\"%\x80\xff") {
                let with = [&text[..at], &[byte], &text[at..]].concat();
                assert!(!target.opens_text(&with), "{byte:#x} inserted at {at}");
            }
        }
        for len in 1..=64 {
            for fill in [0, b'A', b'=', 0xff] {
                let more = vec![fill; len];
                assert!(!target.opens_text(&[&more, &text[..]].concat()));
                assert!(!target.opens_text(&[&text, &more[..]].concat()));
            }
        }
        for at in 0..bytes.len() {
            assert!(!target.opens(&bytes[..at]), "the first {at} bytes");
            let without = [&bytes[..at], &bytes[at + 1..]].concat();
            assert!(!target.opens(&without), "without byte {at}");
            for byte in [0, 0xff, bytes[at]] {
                let with = [&bytes[..at], &[byte], &bytes[at..]].concat();
                assert!(!target.opens(&with), "{byte:#x} before byte {at}");
            }
        }
        0
    });
}

/// Anything shorter is rejected before its bytes are read.
#[test]
fn the_shortest_token_has_an_empty_plaintext() {
    for target in Target::both() {
        let bytes = target.seal(0, 7);
        let opened = seal::open(&target.keys, target.aad, &text(&bytes)).expect("authentic");
        assert!(opened.bytes[opened.plaintext()].is_empty());
        for len in 0..bytes.len() {
            let rejected = seal::open(&target.keys, target.aad, &text(&bytes[..len])).map(|_| ());
            assert_eq!(rejected, Err(Unsealed::Garbage), "{len} bytes");
        }
    }
}

/// Joins two tokens of one key and one length at every byte and every character. Joins short tokens
/// of different lengths at every pair of offsets.
#[test]
fn spliced_tokens_are_rejected() {
    for target in Target::both() {
        for len in SIZES {
            let [a, b] = [1, 2].map(|fill| target.seal(len, fill));
            for (a, b) in [(&a, &b), (&b, &a)] {
                for at in 0..=a.len() {
                    let mixed = [&a[..at], &b[at..]].concat();
                    assert_eq!(target.opens(&mixed), mixed == *a || mixed == *b, "at {at}");
                }
                let (a, b) = (text(a), text(b));
                for at in 0..=a.len() {
                    let mixed = [&a[..at], &b[at..]].concat();
                    assert_eq!(target.opens_text(&mixed), mixed == a || mixed == b);
                }
            }
        }
        let (a, b) = (target.seal(SIZES[0], 1), target.seal(SIZES[1], 2));
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                let mixed = [&a[..i], &b[j..]].concat();
                assert_eq!(target.opens(&mixed), mixed == a || mixed == b, "{i}, {j}");
            }
        }
    }
}

/// The parts are version and key id, IV, ciphertext, and tag. All sixteen combinations are tried.
#[test]
fn tokens_with_exchanged_parts_are_rejected() {
    for target in Target::both() {
        let tokens = [1, 2].map(|fill| target.seal(64, fill));
        for choice in 0..16 {
            let part = |n: usize, range: std::ops::Range<usize>| &tokens[choice >> n & 1][range];
            let end = tokens[0].len();
            let mixed = [
                part(0, 0..5),
                part(1, 5..HEAD_LEN),
                part(2, HEAD_LEN..end - TAG_LEN),
                part(3, end - TAG_LEN..end),
            ]
            .concat();
            assert_eq!(
                target.opens(&mixed),
                tokens.contains(&mixed),
                "{choice:04b}"
            );
        }
    }
}

/// The tag does not cover the head. A wrong version is rejected before the key is looked up, and a
/// wrong key id has no key.
#[test]
fn wrong_versions_wrong_keys_and_wrong_tags_are_different_errors() {
    let target = &Target::both()[0];
    let mut bytes = target.seal(32, 7);
    for version in (0..=255).filter(|&version| version != 1) {
        bytes[0] = version;
        let rejected = seal::open(&target.keys, b"", &text(&bytes)).map(|_| ());
        assert_eq!(rejected, Err(Unsealed::Version));
    }
    bytes[0] = 1;
    for bit in 0..32 {
        bytes[1 + bit / 8] ^= 1 << (bit % 8);
        let rejected = seal::open(&target.keys, b"", &text(&bytes)).map(|_| ());
        let id = KeyId(*bytes[1..].first_chunk().expect("a key id"));
        assert_eq!(rejected, Err(Unsealed::UnknownKey(id)));
        bytes[1 + bit / 8] ^= 1 << (bit % 8);
    }
    *bytes.last_mut().expect("a tag") ^= 1;
    let rejected = seal::open(&target.keys, b"", &text(&bytes)).map(|_| ());
    assert_eq!(rejected, Err(Unsealed::Forged));
}

/// Some contexts differ only in where one part ends and the next begins. A derivation without
/// lengths would give them the same keys.
#[test]
fn a_token_opens_only_in_the_context_that_sealed_it() {
    let mut contexts = Vec::new();
    for secret_number in 0..3 {
        for purpose in ["cookie", "store", "owner", "cooki"] {
            for cookie_name in ["a", "ea", "ab"] {
                for audience in ["", "b", "bb"] {
                    let context = Context {
                        purpose: Purpose(purpose),
                        cookie_name,
                        audience,
                    };
                    contexts.push(KeyRing::new(secret(secret_number)).derive(context));
                }
            }
        }
    }
    assert_eq!(contexts.len(), 108);
    for (n, sealer) in contexts.iter().enumerate() {
        let bytes = vec![7; HEADROOM + 32];
        let mut bytes = seal::seal(sealer.current(), b"", &[7; 32], bytes).to_vec();
        for (m, opener) in contexts.iter().enumerate() {
            let opened = seal::open(opener, b"", &text(&bytes)).map(|_| ());
            let wanted = if n == m {
                Ok(())
            } else {
                Err(Unsealed::UnknownKey(sealer.current().id))
            };
            assert_eq!(opened, wanted, "{n} under {m}");
            // the right key id does not help
            bytes[1..5].copy_from_slice(&opener.current().id.0);
            assert_eq!(seal::open(opener, b"", &text(&bytes)).is_ok(), n == m);
            bytes[1..5].copy_from_slice(&sealer.current().id.0);
        }
    }
}

#[test]
fn a_token_opens_only_with_its_own_additional_data() {
    let keys = KeyRing::new(secret(1)).derive(context(STORE));
    let aads: Vec<Vec<u8>> = (0..=64).map(|len| vec![b'a'; len]).collect();
    for aad in &aads {
        let bytes = vec![b'a'; HEADROOM + 32];
        let bytes = seal::seal(keys.current(), aad, &[7; 32], bytes);
        for other in &aads {
            let opens = seal::open(&keys, other, &text(&bytes)).is_ok();
            assert_eq!(opens, aad == other, "{} under {}", aad.len(), other.len());
        }
    }
}

/// This is improbable but possible. Both keys are tried, in the order of the ring.
#[test]
fn two_keys_with_the_same_id_open_their_own_tokens() {
    let key = |n| {
        let mut key = Key::derive(&secret(n), context(Purpose::COOKIE));
        key.id = KeyId(*b"same");
        key
    };
    let ring = Keys::of(vec![key(1), key(2)]);
    for (n, age) in [(1, Age::Current), (2, Age::Fallback)] {
        let bytes = vec![7; HEADROOM + 32];
        let mut bytes = seal::seal(&key(n), b"", &[7; 32], bytes).to_vec();
        let opened = seal::open(&ring, b"", &text(&bytes)).expect("its key is on the ring");
        assert_eq!(opened.bytes[opened.plaintext()], [7; 32]);
        assert_eq!(opened.age, age);
        *bytes.last_mut().expect("a tag") ^= 1;
        let rejected = seal::open(&ring, b"", &text(&bytes)).map(|_| ());
        assert_eq!(rejected, Err(Unsealed::Forged));
    }
}
