//! Paths and messages, made safe to show on a terminal.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The bytes as text in which nothing controls a terminal.
///
/// Control characters, characters that change the direction of text, backslashes and bytes that
/// are not UTF-8 are escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            push(&mut text, char);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

pub(super) fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

/// The path relative to the root if it is below it, else the whole path.
pub(super) fn shown_below(root: &Path, path: &Path) -> String {
    shown_path(path.strip_prefix(root).unwrap_or(path))
}

/// A path as git writes it.
#[cfg(unix)]
pub(super) fn path_from_git(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;

    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// A path as git writes it.
#[cfg(not(unix))]
pub(super) fn path_from_git(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// The last part of a path of git.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn push(text: &mut String, char: char) {
    let turns_text = matches!(char,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match char {
        '\n' => text.push_str("\\n"),
        '\\' => text.push_str("\\\\"),
        _ if char.is_control() || turns_text => text.extend(char.escape_unicode()),
        _ => text.push(char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_controls_the_terminal() {
        assert_eq!(shown(b"a\x1b[31mb\nc\\d"), "a\\u{1b}[31mb\\nc\\\\d");
        assert_eq!(shown(b"a\xff\xc3b"), "a\\xff\\xc3b");
        assert_eq!(shown("\u{202e}x\u{9b}".as_bytes()), "\\u{202e}x\\u{9b}");
        assert_eq!(shown("naïve 名.json".as_bytes()), "naïve 名.json");
    }
}
