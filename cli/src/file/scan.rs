/// Strings and nesting inside one entry, byte by byte.
///
/// Brackets are counted, and their kinds are not compared: `[1, 2}` ends where `[1, 2]` ends. The
/// JSON parser finds such a fault later, and the entry after it is not affected.
#[derive(Default)]
pub(super) struct Scan {
    place: Place,
    depth: u64,
    deepest: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    String,
    /// Behind a backslash in a string.
    Escape,
}

impl Scan {
    /// Whether the next byte is in no string and no brackets, so that a comma ends the entry.
    pub(super) fn is_outer(&self) -> bool {
        self.place == Place::Outside && self.depth == 0
    }

    /// The most levels of brackets so far.
    pub(super) fn deepest(&self) -> u64 {
        self.deepest
    }

    /// Scans at least one byte of `chunk`, which is not empty, until the outermost level is
    /// reached again. Returns the number of bytes.
    pub(super) fn run(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        loop {
            at += self.piece(&chunk[at..]);
            if at == chunk.len() || self.is_outer() {
                return at;
            }
        }
    }

    fn piece(&mut self, rest: &[u8]) -> usize {
        let found = match self.place {
            Place::Escape => {
                self.place = Place::String;
                return 1;
            }
            Place::String => rest.iter().position(|b| matches!(b, b'"' | b'\\')),
            Place::Outside if self.depth == 0 => Some(0),
            Place::Outside => rest
                .iter()
                .position(|b| matches!(b, b'"' | b'[' | b']' | b'{' | b'}')),
        };
        let Some(found) = found else {
            return rest.len();
        };
        self.mark(rest[found]);
        found + 1
    }

    fn mark(&mut self, byte: u8) {
        match (self.place, byte) {
            (Place::String, b'"') => self.place = Place::Outside,
            (Place::String, _) => self.place = Place::Escape,
            (_, b'"') => self.place = Place::String,
            (_, b'[' | b'{') => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            (_, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of bytes until the outermost level, with chunks of `size` bytes.
    fn length(text: &str, size: usize) -> usize {
        let (mut scan, mut total) = (Scan::default(), 0);
        for chunk in text.as_bytes().chunks(size) {
            let count = scan.run(chunk);
            total += count;
            if count < chunk.len() || scan.is_outer() {
                break;
            }
        }
        total
    }

    #[test]
    fn strings_and_brackets_end_where_they_close() {
        for text in [
            r#""id""#,
            r#""\"""#,
            r#""\\""#,
            r#""}{][,""#,
            r#"{"a": "}"}"#,
            r#"{"\\": ["]", {}]}"#,
            r#"[1, 2}"#,
            ":",
            "]",
        ] {
            for size in [1, 2, 3, 100] {
                assert_eq!(length(&format!("{text}, {{}}"), size), text.len(), "{text}");
            }
        }
    }

    #[test]
    fn only_brackets_outside_strings_count_as_levels() {
        let mut scan = Scan::default();
        scan.run(br#"{"[[[": [["\"["]], "a": []}"#);
        assert_eq!(scan.deepest(), 3);
    }
}
