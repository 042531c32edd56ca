//! The text of a token has one form only: base64url without padding, without other characters and
//! with no unused bit set. The scalar code of `base64`, which runs where the processor has neither
//! AVX2 nor NEON, gives the same results.

use base64::engine::{Engine as _, general_purpose};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    fuzz::{BASE64URL, decodes, encoded},
    text::STANDARD,
};

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    StdRng::seed_from_u64(len as u64).fill_bytes(&mut bytes);
    bytes
}

#[test]
fn bytes_of_every_length_have_one_text() {
    for len in (0..=600).chain(3000..=3100) {
        let mut bytes = random(len);
        assert!(decodes(&encoded(&bytes)));
        for fill in [0, 0x55, 0xff] {
            bytes.fill(fill);
            assert!(decodes(&encoded(&bytes)));
        }
    }
}

/// Each of the 256 bytes at each position of a text of each length, among them the characters of
/// other alphabets, padding, white space, and letters that set unused bits.
#[test]
fn a_text_with_one_changed_character_decodes_only_if_it_has_that_form() {
    for len in 0..=200 {
        let mut text: Vec<_> = random(len)
            .iter()
            .map(|byte| BASE64URL[usize::from(byte % 64)])
            .collect();
        // a last letter without unused bits
        if let Some(last) = text.last_mut() {
            *last = b'A';
        }
        for at in 0..len {
            let letter = text[at];
            let accepted = (0..=255).filter(|&byte| {
                text[at] = byte;
                decodes(&text)
            });
            let unused_bits = if at + 1 == len {
                [0, 0, 4, 2][len % 4]
            } else {
                0
            };
            let wanted = if len % 4 == 1 { 0 } else { 64 >> unused_bits };
            assert_eq!(accepted.count(), wanted, "{at} of {len}");
            text[at] = letter;
        }
    }
}

#[test]
fn padding_and_white_space_are_refused_at_every_length() {
    let strange = [
        "=", "==", "===", "====", " ", "\n", "\r\n", "\t", "\0", "A=", "AA==", "AAA=",
    ];
    for len in 0..=200 {
        let text = encoded(&random(len));
        for strange in strange {
            let strange = strange.as_bytes();
            for at in [0, text.len() / 2, text.len()] {
                let (start, end) = text.split_at(at);
                assert!(!decodes(&[start, strange, end].concat()));
            }
        }
    }
}

/// Starlette's cookies use the other alphabet, with padding.
#[test]
fn the_standard_alphabet_is_encoded_alike_with_and_without_vector_instructions() {
    for len in (0..=600).chain(3000..=3100) {
        let bytes = random(len);
        let text = STANDARD.encode(&bytes);
        assert_eq!(text, general_purpose::STANDARD.encode(&bytes));
        assert_eq!(STANDARD.decode(&text), Ok(bytes));
    }
}
