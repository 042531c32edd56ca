//! Decoders that are as lenient as those of Python's standard library.

/// `base64.b64decode`: skips bytes outside the alphabet, and stops after complete padding.
///
/// Returns `None` where Python raises `binascii.Error`.
pub(super) fn b64decode(text: &[u8]) -> Option<Vec<u8>> {
    decode(text.iter().copied())
}

/// `base64.urlsafe_b64decode` with the padding that itsdangerous adds. Accepts both alphabets.
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

/// Decodes a cookie's bytes as Starlette does: from Latin-1, without quotes
/// (`http.cookies._unquote`), to UTF-8.
pub(super) fn cookie_value(bytes: &[u8]) -> Vec<u8> {
    let text = match bytes {
        [b'"', inner @ .., b'"'] => unescape(inner),
        _ => bytes.to_vec(),
    };
    let text: String = text.into_iter().map(char::from).collect();
    text.into_bytes()
}

/// Removes backslash escapes: of three octal digits, or of any other character.
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
