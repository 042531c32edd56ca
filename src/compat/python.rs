//! What Python's standard library makes of text, where it is lenient.

/// `base64.b64decode`: what is not of the alphabet is skipped, and a complete padding ends it.
///
/// `None` where that raises `binascii.Error`.
pub(super) fn b64decode(text: &[u8]) -> Option<Vec<u8>> {
    decode(text.iter().copied())
}

/// `base64.urlsafe_b64decode`, after what itsdangerous pads it with: both alphabets are taken.
pub(super) fn urlsafe_b64decode(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.len().wrapping_neg() % 4;
    let text = text.iter().map(|&byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    });
    decode(text.chain(std::iter::repeat_n(b'=', padding)))
}

fn decode(text: impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.size_hint().0 / 4 * 3 + 3);
    let (mut bits, mut sextets, mut pads) = (0_u32, 0, 0);
    for byte in text {
        if byte == b'=' {
            pads += 1;
            if sextets >= 2 && sextets + pads >= 4 {
                return Some(out);
            }
            continue;
        }
        let Some(sextet) = sextet(byte) else { continue };
        pads = 0;
        bits = bits << 6 | sextet;
        sextets = (sextets + 1) % 4;
        if sextets != 1 {
            let spare = (4 - sextets) % 4 * 2;
            out.push((bits >> spare) as u8);
        }
    }
    (sextets == 0).then_some(out)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

/// What Starlette makes of a cookie's bytes: Latin-1, out of quotes (`http.cookies._unquote`), and then UTF-8.
pub(super) fn cookie_value(bytes: &[u8]) -> Vec<u8> {
    let text = match bytes {
        [b'"', inner @ .., b'"'] => unescape(inner),
        _ => bytes.to_vec(),
    };
    let text: String = text.into_iter().map(char::from).collect();
    text.into_bytes()
}

/// Backslashes before three octal digits, or before any other character.
fn unescape(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    loop {
        match bytes {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                rest @ ..,
            ] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                bytes = rest;
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                out.push(*byte);
                bytes = rest;
            }
            [] => return out,
        }
    }
}
