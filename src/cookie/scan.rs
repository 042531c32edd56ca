//! Finds our cookie in a `Cookie` header. Names are compared byte for byte.
//!
//! A parser that percent-decodes or trims names lets a sibling host forge the `__Host-` prefix. A
//! parser that requires UTF-8 lets another cookie hide ours. This parser splits on `;`, trims space
//! and tab, splits at the first `=`, and compares the bytes of the name. It decodes nothing.
//!
//! Some clients put a value in double quotes, such as Java's `CookieManager` (RFC 6265 §4.1.1).
//! [`tokens`] takes off one pair of quotes, and nothing else. [`values`] does not, because a legacy
//! format has its own rule for quotes.

/// The values of all cookies with exactly that name in one `Cookie` header, in order, each without
/// the quotes around it.
pub(crate) fn tokens<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    values(header, name).map(|value| match value {
        [b'"', inside @ .., b'"'] => inside,
        _ => value,
    })
}

/// The values of all cookies with exactly that name in one `Cookie` header, in order, as they are.
pub(crate) fn values<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(header).filter_map(move |pair| value_of(pair, name.as_bytes()))
}

fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match memchr::memchr(b';', bytes) {
            Some(at) => {
                rest = Some(&bytes[at + 1..]);
                Some(&bytes[..at])
            }
            None => rest.take(),
        }
    })
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let pair = trim_start(pair);
    // for most other cookies, the byte after the name is a different one
    if !matches!(pair.get(name.len()), Some(b'=' | b' ' | b'\t')) {
        return None;
    }
    // our name has neither `=` nor white space: this is the same as a split at the first `=`
    let rest = pair.strip_prefix(name)?;
    let value = trim_start(rest).strip_prefix(b"=")?;
    Some(trim_end(trim_start(value)))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &[u8]) -> Vec<&[u8]> {
        tokens(header, "__Host-session").collect()
    }

    #[test]
    fn the_name_is_compared_byte_for_byte() {
        for lookalike in [
            &b"%5F%5FHost-session=x"[..],
            b"__%48ost-session=x",
            b"__host-session=x",
            b"__Host-sessio=x",
            b"__Host-session2=x",
            b"a__Host-session=x",
            b"=__Host-session=x",
            b"x=__Host-session=x",
            b"\"__Host-session\"=x",
            b"__Host-session",
            b"__Host-session;=x",
            b"$Version=1",
            "\u{2000}__Host-session=x".as_bytes(),
            "\u{a0}__Host-session=x".as_bytes(),
            "\u{85}__Host-session=x".as_bytes(),
            "__Host-session\u{2003}=x".as_bytes(),
            b"\x0b__Host-session=x",
            b"\x00__Host-session=x",
            b"__Host-session\x00=x",
            b"",
            b";",
        ] {
            assert!(found(lookalike).is_empty(), "{}", lookalike.escape_ascii());
        }
    }

    /// Inserts each of the 256 bytes at every position, and replaces each byte of the name by it.
    #[test]
    fn one_byte_added_or_replaced_makes_another_name() {
        let name = b"__Host-session";
        for byte in 0..=255 {
            for at in 0..=name.len() {
                let (start, end) = name.split_at(at);
                let header = [start, &[byte], end, b"=x"].concat();
                let ours = match at {
                    0 => b" \t;".contains(&byte),
                    14 => b" \t=".contains(&byte),
                    _ => false,
                };
                assert_eq!(
                    !found(&header).is_empty(),
                    ours,
                    "{}",
                    header.escape_ascii()
                );
                if at < name.len() {
                    let header = [start, &[byte], &end[1..], b"=x"].concat();
                    assert_eq!(!found(&header).is_empty(), byte == name[at]);
                }
            }
        }
    }

    #[test]
    fn spaces_and_tabs_around_names_and_values_are_trimmed() {
        for header in [
            &b"__Host-session=AY"[..],
            b"a=1; __Host-session=AY; b=2",
            b"a=1;__Host-session=AY",
            b" \t__Host-session \t=\t AY \t;",
        ] {
            assert_eq!(found(header), [b"AY"], "{}", header.escape_ascii());
        }
    }

    #[test]
    fn other_cookies_do_not_hide_ours_and_values_are_not_decoded() {
        assert_eq!(
            found(b"\xff\xfe=\x80; __Host-session=AY; \xc3=\x28"),
            [b"AY"]
        );
        assert_eq!(found(b"q=\"a; __Host-session=AY; b\""), [b"AY"]);
        assert_eq!(found(b"__Host-session=A%59=Z"), [b"A%59=Z"]);
    }

    #[test]
    fn one_pair_of_quotes_around_a_token_is_taken_off() {
        for (value, token) in [
            (&b"\"AY\""[..], &b"AY"[..]),
            (b" \t\"AY\"\t ", b"AY"),
            (b"\"\"", b""),
            (b"\"\"AY\"\"", b"\"AY\""),
            (b"\" AY\"", b" AY"),
            (b"\"A\\\"Y\"", b"A\\\"Y"),
            (b"\"%41Y\"", b"%41Y"),
            // not a pair
            (b"\"", b"\""),
            (b"\"AY", b"\"AY"),
            (b"AY\"", b"AY\""),
            (b"A\"\"Y", b"A\"\"Y"),
            (b"'AY'", b"'AY'"),
        ] {
            let header = [b"a=1; __Host-session=", value, b"; b=2"].concat();
            let found: Vec<_> = tokens(&header, "__Host-session").collect();
            assert_eq!(found, [token], "{}", header.escape_ascii());
            let raw: Vec<_> = values(&header, "__Host-session").collect();
            assert_eq!(raw, [value.trim_ascii()]);
        }
    }

    #[test]
    fn duplicates_keep_their_order() {
        assert_eq!(
            found(b"__Host-session=1; __Host-session=; __Host-session=3"),
            [&b"1"[..], b"", b"3"]
        );
    }
}
