//! The file names to look for.

use super::ScanError;

/// Patterns for the last part of a path. `*` stands for any text and `?` for one byte.
///
/// Upper and lower case are the same, since some file systems do not distinguish them.
#[derive(Debug)]
pub(super) struct Names(Vec<Vec<u8>>);

impl Names {
    pub(super) fn new(patterns: &[String]) -> Result<Self, ScanError> {
        for pattern in patterns {
            if pattern.is_empty() || pattern.contains('/') {
                return Err(ScanError::InvalidName(pattern.clone()));
            }
        }
        let lower = |pattern: &String| pattern.to_ascii_lowercase().into_bytes();
        Ok(Self(patterns.iter().map(lower).collect()))
    }

    pub(super) fn contain(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }
}

/// Goes back only to the last `*`, so that the time is at most the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[read].to_ascii_lowercase() => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star, start)) = last_star else {
                    return false;
                };
                last_star = Some((star, start + 1));
                (at, read) = (star + 1, start + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Options;

    #[test]
    fn copies_and_backups_of_the_file_have_its_name() {
        let names = Names::new(&Options::default().names).expect("valid");
        for name in [
            "parsed_sessions.json",
            "parsed_sessions.json.bak",
            "old_parsed_sessions-2.json.gz",
            "Parsed_Sessions.JSON",
            "alice.session.json",
        ] {
            assert!(names.contain(name.as_bytes()), "{name}");
        }
        for name in ["parsed_sessions.py", "sessions.json", "session.json", ""] {
            assert!(!names.contain(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a", "bba", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), wanted);
        }
    }

    #[test]
    fn a_pattern_with_a_folder_is_refused() {
        for pattern in ["", "data/*.json"] {
            assert!(Names::new(&[pattern.to_owned()]).is_err());
        }
    }
}
