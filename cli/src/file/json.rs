use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::reason::Reason;

/// Decodes a JSON string.
pub(super) fn string(text: &str) -> Result<String, Reason> {
    serde_json::from_str(text).map_err(|_| fault(text))
}

/// Whether `text` is one JSON value, with all strings and numbers in range.
pub(super) fn check(text: &str) -> Result<(), Reason> {
    serde_json::from_str(text)
        .map(|Checked| ())
        .map_err(|_| fault(text))
}

/// A value that was parsed and dropped.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not `deserialize_ignored_any`, which checks neither surrogates nor ranges.
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while let Some(Self) = seq.next_element()? {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while let Some((Self, Self)) = map.next_entry()? {}
        Ok(self)
    }
}

/// Why `serde_json` refused the text. Its own messages are for developers, and can quote the text.
fn fault(text: &str) -> Reason {
    let mut faults = Faults { rest: text };
    match faults.find() {
        Err(reason) => reason,
        Ok(()) => Reason::Syntax,
    }
}

/// Looks for a fault that has a name, token by token.
struct Faults<'a> {
    rest: &'a str,
}

impl<'a> Faults<'a> {
    fn find(&mut self) -> Result<(), Reason> {
        let mut open = Vec::new();
        while let Some(&first) = self.rest.as_bytes().first() {
            match first {
                b'"' => self.string()?,
                b'{' | b'[' => open.push(first),
                b'}' if open.pop() != Some(b'{') => return Err(Reason::Nesting),
                b']' if open.pop() != Some(b'[') => return Err(Reason::Nesting),
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                    continue;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    self.word()?;
                    continue;
                }
                b'}' | b']' | b':' | b',' | b' ' | b'\t' | b'\n' | b'\r' => {}
                _ => return Err(Reason::Syntax),
            }
            // A string leaves its closing quote.
            self.rest = &self.rest[1..];
        }
        match open.is_empty() {
            true => Ok(()),
            false => Err(Reason::Nesting),
        }
    }

    fn number(&mut self) -> Result<(), Reason> {
        let text = self.take(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        match text.parse::<f64>() {
            Ok(number) if number.is_infinite() => Err(Reason::NumberRange),
            _ => Ok(()),
        }
    }

    fn word(&mut self) -> Result<(), Reason> {
        match self.take(|b| b.is_ascii_alphanumeric() || b == b'_') {
            "true" | "false" | "null" => Ok(()),
            "NaN" | "Infinity" => Err(Reason::NotFinite),
            _ => Err(Reason::UnquotedWord),
        }
    }

    fn string(&mut self) -> Result<(), Reason> {
        self.rest = &self.rest[1..];
        loop {
            self.take(|b| !matches!(b, b'"' | b'\\' | ..0x20));
            match self.rest.as_bytes() {
                [b'"', ..] => return Ok(()),
                [b'\\', ..] => self.escape()?,
                [_, ..] => return Err(Reason::ControlCharacter),
                [] => return Err(Reason::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Reason> {
        match self.unicode() {
            None => {}
            Some(0xdc00..0xe000) => return Err(Reason::Surrogate),
            Some(0xd800..0xdc00) => {
                return match self.unicode() {
                    Some(0xdc00..0xe000) => Ok(()),
                    _ => Err(Reason::Surrogate),
                };
            }
            Some(_) => return Ok(()),
        }
        match self.rest.as_bytes().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.rest = &self.rest[2..];
                Ok(())
            }
            _ => Err(Reason::Escape),
        }
    }

    /// Takes `\u` and four hex digits.
    fn unicode(&mut self) -> Option<u16> {
        let digits = self.rest.strip_prefix("\\u")?.get(..4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = &self.rest[6..];
        u16::from_str_radix(digits, 16).ok()
    }

    /// Takes all bytes up to the first that does not match. `matches` is true for all bytes of a
    /// character that is not ASCII, or for none.
    fn take(&mut self, matches: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|b| !matches(b));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_reason() {
        for (text, reason) in [
            ("NaN", Reason::NotFinite),
            ("[-Infinity]", Reason::NotFinite),
            (r#"{"a": Infinity}"#, Reason::NotFinite),
            ("1e999", Reason::NumberRange),
            ("-1E+400", Reason::NumberRange),
            ("[1, undefined]", Reason::UnquotedWord),
            ("None", Reason::UnquotedWord),
            ("'a'", Reason::Syntax),
            (r#""\x41""#, Reason::Escape),
            (r#""\u12g4""#, Reason::Escape),
            (r#""\u+123""#, Reason::Escape),
            (r#""\u12""#, Reason::Escape),
            (r#""\u12é""#, Reason::Escape),
            (r#""\é""#, Reason::Escape),
            (r#""\ud800""#, Reason::Surrogate),
            (r#""\udc00\ud800""#, Reason::Surrogate),
            (r#""\ud83d\u0041""#, Reason::Surrogate),
            (r#"{"\ud83d": 1}"#, Reason::Surrogate),
            ("\"a\nb\"", Reason::ControlCharacter),
            ("\"\0\"", Reason::ControlCharacter),
            ("[1, 2}", Reason::Nesting),
            ("{]", Reason::Nesting),
            ("[", Reason::Nesting),
            (r#"{"a" 1}"#, Reason::Syntax),
            (r#"{"a": 01}"#, Reason::Syntax),
            (r#"{"a": 1.}"#, Reason::Syntax),
            (r#"{"a": +1}"#, Reason::Syntax),
            (r#"{"a": 1,}"#, Reason::Syntax),
            ("1 2", Reason::Syntax),
            ("\u{a0}1", Reason::Syntax),
            ("\"", Reason::Syntax),
            ("\"\\", Reason::Escape),
            ("-", Reason::Syntax),
            ("", Reason::Syntax),
        ] {
            assert_eq!(check(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_number_of_many_digits_is_valid_if_it_is_in_range() {
        let digits = "9".repeat(308);
        assert_eq!(check(&digits), Ok(()));
        assert_eq!(check(&"9".repeat(310)), Err(Reason::NumberRange));
        assert_eq!(check("1e-999"), Ok(()));
        assert_eq!(check(r#""\ud83d\ude00""#), Ok(()));
    }
}
