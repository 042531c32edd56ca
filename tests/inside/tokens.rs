//! Every small change of a token, every mixture of two, and every wrong context: nothing opens.
//!
//! An encrypt-then-MAC that checks the wrong bytes on one path is this construction's own failure, so the paths are
//! walked one by one: both purposes, four sizes, and nothing sampled.

use crate::{
    key::{Age, Context, Key, KeyId, KeyRing, Keys, Purpose, Secret},
    seal::{self, HEAD_LEN, HEADROOM, TAG_LEN, Unsealed},
};

/// Lengths of plaintexts: the least record, one that ends within base64's last group, the usual, a large one.
const SIZES: [usize; 4] = [32, 81, 256, 1024];
const STORE: Purpose = Purpose("store");
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn context(purpose: Purpose) -> Context<'static> {
    Context {
        purpose,
        cookie_name: "__Host-session",
        audience: "",
    }
}

fn secret(n: usize) -> Secret {
    Secret::unchecked(&format!("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXw{n:03}"))
}

/// One key of one purpose, and the additional data that goes with it.
struct Door {
    keys: Keys,
    aad: &'static [u8],
}

impl Door {
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

/// Runs `attack` for both doors and all sizes on a token that opens before and after, and returns the number of cases.
fn attack_all(attack: impl Fn(&Door, Vec<u8>) -> usize) -> usize {
    let mut cases = 0;
    for door in Door::both() {
        for len in SIZES {
            let token = door.seal(len, 7);
            assert!(door.opens(&token));
            cases += attack(&door, token);
        }
    }
    cases
}

#[test]
fn no_bit_of_a_token_can_be_flipped() {
    let cases = attack_all(|door, mut bytes| {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!door.opens(&bytes), "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(door.opens(&bytes));
        8 * bytes.len()
    });
    assert_eq!(
        cases,
        2 * 8 * SIZES.map(|len| len + 53).iter().sum::<usize>()
    );
}

/// All 255 others: base64's, which may differ in bits that are cut off, and what is no base64 at all.
#[test]
fn no_character_of_a_token_can_be_another() {
    let cases = attack_all(|door, bytes| {
        let mut text = text(&bytes);
        for at in 0..text.len() {
            let right = text[at];
            for wrong in (0..=255).filter(|&byte| byte != right) {
                text[at] = wrong;
                assert!(!door.opens_text(&text), "{wrong:#x} at {at}");
            }
            text[at] = right;
        }
        255 * text.len()
    });
    let chars = SIZES.map(seal::token_len).iter().sum::<usize>();
    assert_eq!(cases, 2 * 255 * chars);
}

#[test]
fn nothing_can_be_cut_off_left_out_or_put_in() {
    attack_all(|door, bytes| {
        let text = text(&bytes);
        for at in 0..text.len() {
            assert!(!door.opens_text(&text[..at]), "the first {at} characters");
            assert!(!door.opens_text(&text[at + 1..]), "from {at} on");
            let without = [&text[..at], &text[at + 1..]].concat();
            assert!(!door.opens_text(&without), "without {at}");
            let twice = [&text[..=at], &text[at..]].concat();
            assert!(!door.opens_text(&twice), "{at} twice");
        }
        for at in 0..=text.len() {
            for &byte in ALPHABET.iter().chain(b"=+/ \t\r\n\0;,\"%\x80\xff") {
                let with = [&text[..at], &[byte], &text[at..]].concat();
                assert!(!door.opens_text(&with), "{byte:#x} put in at {at}");
            }
        }
        for len in 1..=64 {
            for fill in [0, b'A', b'=', 0xff] {
                let more = vec![fill; len];
                assert!(!door.opens_text(&[&more, &text[..]].concat()));
                assert!(!door.opens_text(&[&text, &more[..]].concat()));
            }
        }
        for at in 0..bytes.len() {
            assert!(!door.opens(&bytes[..at]), "the first {at} bytes");
            let without = [&bytes[..at], &bytes[at + 1..]].concat();
            assert!(!door.opens(&without), "without byte {at}");
            for byte in [0, 0xff, bytes[at]] {
                let with = [&bytes[..at], &[byte], &bytes[at..]].concat();
                assert!(!door.opens(&with), "{byte:#x} before byte {at}");
            }
        }
        0
    });
}

/// What is shorter than a token of nothing is refused before a byte of it is looked at.
#[test]
fn the_shortest_token_is_that_of_nothing() {
    for door in Door::both() {
        let bytes = door.seal(0, 7);
        let opened = seal::open(&door.keys, door.aad, &text(&bytes)).expect("authentic");
        assert!(opened.bytes[opened.plaintext()].is_empty());
        for len in 0..bytes.len() {
            let refused = seal::open(&door.keys, door.aad, &text(&bytes[..len])).map(|_| ());
            assert_eq!(refused, Err(Unsealed::Garbage), "{len} bytes");
        }
    }
}

/// Two tokens of one key, equally long, joined at every byte and every character; of the shortest at every pair of offsets.
#[test]
fn no_two_tokens_can_be_spliced() {
    for door in Door::both() {
        for len in SIZES {
            let [a, b] = [1, 2].map(|fill| door.seal(len, fill));
            for (a, b) in [(&a, &b), (&b, &a)] {
                for at in 0..=a.len() {
                    let mixed = [&a[..at], &b[at..]].concat();
                    assert_eq!(door.opens(&mixed), mixed == *a || mixed == *b, "at {at}");
                }
                let (a, b) = (text(a), text(b));
                for at in 0..=a.len() {
                    let mixed = [&a[..at], &b[at..]].concat();
                    assert_eq!(door.opens_text(&mixed), mixed == a || mixed == b);
                }
            }
        }
        let (a, b) = (door.seal(SIZES[0], 1), door.seal(SIZES[1], 2));
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                let mixed = [&a[..i], &b[j..]].concat();
                assert_eq!(door.opens(&mixed), mixed == a || mixed == b, "{i}, {j}");
            }
        }
    }
}

/// Version and key id, IV, ciphertext and tag of two tokens, in all sixteen mixtures.
#[test]
fn no_parts_of_two_tokens_can_be_exchanged() {
    for door in Door::both() {
        let tokens = [1, 2].map(|fill| door.seal(64, fill));
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
            assert_eq!(door.opens(&mixed), tokens.contains(&mixed), "{choice:04b}");
        }
    }
}

/// The head stands outside the tag: each version but one is refused before a key is looked for, and each id but
/// one names no key.
#[test]
fn a_head_of_another_version_or_key_is_told_apart() {
    let door = &Door::both()[0];
    let mut bytes = door.seal(32, 7);
    for version in (0..=255).filter(|&version| version != 1) {
        bytes[0] = version;
        let refused = seal::open(&door.keys, b"", &text(&bytes)).map(|_| ());
        assert_eq!(refused, Err(Unsealed::Version));
    }
    bytes[0] = 1;
    for bit in 0..32 {
        bytes[1 + bit / 8] ^= 1 << (bit % 8);
        let refused = seal::open(&door.keys, b"", &text(&bytes)).map(|_| ());
        assert_eq!(refused, Err(Unsealed::UnknownKey));
        bytes[1 + bit / 8] ^= 1 << (bit % 8);
    }
    *bytes.last_mut().expect("a tag") ^= 1;
    let refused = seal::open(&door.keys, b"", &text(&bytes)).map(|_| ());
    assert_eq!(refused, Err(Unsealed::Forged));
}

/// Some contexts differ by where one part ends and the next begins, which a derivation without lengths would not see.
#[test]
fn a_token_opens_in_the_context_that_sealed_it_alone() {
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
                Err(Unsealed::UnknownKey)
            };
            assert_eq!(opened, wanted, "{n} under {m}");
            // and not for want of the right id alone
            bytes[1..5].copy_from_slice(&opener.current().id.0);
            assert_eq!(seal::open(opener, b"", &text(&bytes)).is_ok(), n == m);
            bytes[1..5].copy_from_slice(&sealer.current().id.0);
        }
    }
}

#[test]
fn a_token_opens_with_its_own_additional_data_alone() {
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

/// Improbable, and yet possible: both are tried, whichever comes first.
#[test]
fn two_keys_of_one_id_open_each_their_own() {
    let key = |n| {
        let mut key = Key::derive(&secret(n), context(Purpose::COOKIE));
        key.id = KeyId(*b"same");
        key
    };
    let ring = Keys::of(vec![key(1), key(2)]);
    for (n, age) in [(1, Age::Current), (2, Age::Fallback)] {
        let bytes = vec![7; HEADROOM + 32];
        let mut bytes = seal::seal(&key(n), b"", &[7; 32], bytes).to_vec();
        let opened = seal::open(&ring, b"", &text(&bytes)).expect("it is on the ring");
        assert_eq!(opened.bytes[opened.plaintext()], [7; 32]);
        assert_eq!(opened.age, age);
        *bytes.last_mut().expect("a tag") ^= 1;
        let refused = seal::open(&ring, b"", &text(&bytes)).map(|_| ());
        assert_eq!(refused, Err(Unsealed::Forged));
    }
}
