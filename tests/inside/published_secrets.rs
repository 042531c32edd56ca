//! Published secrets are rejected. Random secrets are accepted.

use std::collections::HashSet;

use base64::engine::{
    Engine as _,
    general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::Secret;

/// One line for each sample: the sample, a tab, and where it is published.
const PUBLISHED: &str = include_str!("../vectors/published_secrets.tsv");

#[test]
fn every_published_sample_is_rejected() {
    let (mut all, mut long) = (HashSet::new(), 0);
    for line in PUBLISHED.lines() {
        let (sample, place) = line.split_once('\t').expect("a sample and its place");
        let reject = |text: &str| Secret::new(text).expect_err(&format!("{text}, of {place}"));
        assert!(all.insert(sample), "{sample} is listed twice");
        reject(sample);
        // samples that are long enough must be rejected even without spaces and commas
        if sample.len() >= Secret::MIN_LEN {
            reject(&sample.replace([' ', ','], "-"));
            long += 1;
        }
    }
    assert!(all.len() >= 480 && long >= 380, "{} {long}", all.len());
}

/// Text of `len` random characters from `alphabet`.
fn text(rng: &mut StdRng, alphabet: &[u8], len: usize) -> String {
    let mut draw = || char::from(alphabet[rng.random_range(0..alphabet.len())]);
    (0..len).map(|_| draw()).collect()
}

fn raw(rng: &mut StdRng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The formats of `openssl rand`, of the commands of frameworks, and of password managers.
#[test]
fn good_secrets_of_every_usual_format_are_accepted() {
    const DIGITS: &[u8] = b"0123456789";
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const DJANGO: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)";
    const PRINTABLE: &[u8] = b"!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    type Make = fn(&mut StdRng) -> String;
    let formats: [(&str, Make); 14] = [
        ("openssl rand -hex 16", |rng| hex(&raw(rng, 16))),
        ("openssl rand -hex 32", |rng| hex(&raw(rng, 32))),
        ("openssl rand -hex 64", |rng| hex(&raw(rng, 64))),
        ("openssl rand -base64 24", |rng| {
            STANDARD.encode(raw(rng, 24))
        }),
        ("openssl rand -base64 32", |rng| {
            STANDARD.encode(raw(rng, 32))
        }),
        ("secrets.token_urlsafe(32)", |rng| {
            URL_SAFE_NO_PAD.encode(raw(rng, 32))
        }),
        ("artisan key:generate", |rng| {
            format!("base64:{}", STANDARD.encode(raw(rng, 32)))
        }),
        ("get_random_secret_key()", |rng| text(rng, DJANGO, 50)),
        ("pwgen -s 32", |rng| text(rng, LETTERS, 32)),
        ("a label before hex", |rng| {
            format!("session-secret-{}", hex(&raw(rng, 32)))
        }),
        ("two UUIDs", |rng| {
            let hex = hex(&raw(rng, 32));
            let uuid = |at: usize| {
                let part = |from, to| &hex[at + from..at + to];
                format!(
                    "{}-{}-4{}-a{}-{}",
                    part(0, 8),
                    part(8, 12),
                    part(13, 16),
                    part(17, 20),
                    part(20, 32)
                )
            };
            uuid(0) + &uuid(32)
        }),
        ("32 small letters and digits", |rng| text(rng, SMALL, 32)),
        ("40 digits", |rng| text(rng, DIGITS, 40)),
        ("32 printable characters", |rng| text(rng, PRINTABLE, 32)),
    ];
    // The seed is fixed, because about one random text in 10^9 is rejected. The test must not fail
    // by chance.
    let check = |(name, make): (&str, Make)| {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..100_000 {
            let secret = make(&mut rng);
            assert_eq!(Secret::new(&secret).err(), None, "{name}: {secret}");
        }
    };
    std::thread::scope(|scope| {
        let checks = formats.map(|format| scope.spawn(move || check(format)));
        for done in checks {
            done.join().expect("every secret is accepted");
        }
    });
}
