//! Tokens, keys and contexts.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{bytes, config};
use crate::{
    fuzz::{BASE64URL, plain_encoding},
    key::{Age, Context, KeyRing, Keys, Purpose, RawKey, Secret},
    seal::{self, HEAD_LEN, HEADROOM, RANDOM_LEN, Unsealed},
};

fn secret(n: u8) -> Secret {
    Secret::unchecked(&format!("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXw{n:03}"))
}

/// The keys of these secrets. The first is the current one.
fn keys(secrets: &[u8]) -> Keys {
    let mut secrets = secrets.iter().map(|&n| secret(n));
    let ring = KeyRing::new(secrets.next().expect("one is current"));
    secrets.fold(ring, KeyRing::fallback).derive(Context {
        purpose: Purpose::COOKIE,
        cookie_name: "__Host-Http-session",
        audience: "",
    })
}

fn sealed(keys: &Keys, aad: &[u8], random: &[u8; RANDOM_LEN], plaintext: &[u8]) -> Vec<u8> {
    let bytes = [&[0; HEADROOM], plaintext].concat();
    seal::seal(keys.current(), aad, random, bytes).to_vec()
}

fn text(sealed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    seal::append_text(sealed, &mut text);
    text
}

#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Cut(Index),
    Swap(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![proptest::sample::select(&BASE64URL[..]), any::<u8>()];
    let at = any::<Index>;
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        at().prop_map(Edit::Delete),
        at().prop_map(Edit::Cut),
        (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ]
}

impl Edit {
    fn apply(&self, text: &mut Vec<u8>) {
        let len = text.len();
        match self {
            Self::Insert(at, byte) => text.insert(at.index(len + 1), *byte),
            _ if len == 0 => {}
            Self::Set(at, byte) => text[at.index(len)] = *byte,
            Self::Delete(at) => drop(text.remove(at.index(len))),
            Self::Cut(at) => text.truncate(at.index(len)),
            Self::Swap(a, b) => text.swap(a.index(len), b.index(len)),
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// Only a key on the ring opens the token. The result says whether that key is current.
    #[test]
    fn tokens_open_to_their_plaintext(
        plaintext in bytes(0..600), aad in bytes(0..40), random: [u8; RANDOM_LEN],
        sealer in 0..6_u8, ring in vec(0..6_u8, 1..5),
    ) {
        let token = text(&sealed(&keys(&[sealer]), &aad, &random, &plaintext));
        let opened = seal::open(&keys(&ring), &aad, &token);
        match ring.iter().position(|&n| n == sealer) {
            None => {
                let id = keys(&[sealer]).current().id;
                prop_assert_eq!(opened.map(|_| ()), Err(Unsealed::UnknownKey(id)));
            }
            Some(at) => {
                let opened = opened.expect("its key is on the ring");
                prop_assert_eq!(&opened.bytes[opened.plaintext()], plaintext);
                prop_assert_eq!(opened.age, if at == 0 { Age::Current } else { Age::Fallback });
            }
        }
    }

    #[test]
    fn tokens_are_base64url_of_the_computed_length(plaintext in bytes(0..600)) {
        let bytes = sealed(&keys(&[1]), b"", &[7; RANDOM_LEN], &plaintext);
        let text = text(&bytes);
        prop_assert_eq!(text.len(), seal::token_len(plaintext.len()));
        prop_assert_eq!(text, plain_encoding(&bytes));
    }

    /// With the right version and key id, the reason is `Forged`.
    #[test]
    fn random_bytes_do_not_open(mut bytes in bytes(0..400), genuine_head: bool, plain: bool) {
        let keys = keys(&[1, 2]);
        if let (true, Some(head)) = (genuine_head, bytes.first_chunk_mut::<5>()) {
            head[0] = 1;
            head[1..].copy_from_slice(&keys.current().id.0);
        }
        let token = if plain { bytes.clone() } else { text(&bytes) };
        let rejected = seal::open(&keys, b"", &token).map(|_| ());
        prop_assert!(rejected.is_err());
        if genuine_head && !plain && bytes.len() >= 53 {
            prop_assert_eq!(rejected, Err(Unsealed::Forged));
        }
    }

    #[test]
    fn an_edited_token_opens_only_if_the_edits_change_nothing(
        plaintext in bytes(0..80), edits in vec(edit(), 1..6), in_text: bool,
    ) {
        let keys = keys(&[1]);
        let whole = sealed(&keys, b"", &[7; RANDOM_LEN], &plaintext);
        let token = text(&whole);
        let mut edited = if in_text { token.clone() } else { whole };
        edits.iter().for_each(|edit| edit.apply(&mut edited));
        let edited = if in_text { edited } else { text(&edited) };
        prop_assert_eq!(seal::open(&keys, b"", &edited).is_ok(), edited == token);
    }

    /// Different inputs that are equal when concatenated also give different IVs.
    #[test]
    fn the_iv_depends_on_randomness_additional_data_and_plaintext(
        inputs in vec((0..2_u8, vec(0..2_u8, 0..3), vec(0..2_u8, 0..3)), 2..6),
    ) {
        let keys = keys(&[1]);
        let iv = |(fill, aad, plaintext): &(u8, Vec<u8>, Vec<u8>)| {
            sealed(&keys, aad, &[*fill; RANDOM_LEN], plaintext)[5..HEAD_LEN].to_vec()
        };
        for a in &inputs {
            for b in &inputs {
                prop_assert_eq!(iv(a) == iv(b), a == b);
            }
        }
    }

    /// Names have only two letters, so that many contexts differ only in where one part ends and
    /// the next begins.
    #[test]
    fn keys_depend_on_each_part_of_their_context(contexts in vec(
        (0..2_u8, prop_oneof![Just("a"), Just("ab"), Just("b")], "[ab]{1,3}", "[ab]{0,3}"), 2..5,
    )) {
        let raw = |(n, purpose, cookie_name, audience): &(u8, &'static str, String, String)| {
            let context = Context { purpose: Purpose(purpose), cookie_name, audience };
            RawKey::derive(&secret(*n), context)
        };
        for a in &contexts {
            let one = raw(a);
            prop_assert!(*one.enc != *one.mac && *one.mac != *one.iv && *one.enc != *one.iv);
            for b in &contexts {
                let other = raw(b);
                for same in [one.enc == other.enc, one.mac == other.mac, one.iv == other.iv, one.id == other.id] {
                    prop_assert_eq!(same, a == b);
                }
            }
        }
    }
}
