//! What a file contains.

use super::report::Rule;
use super::secrets::{has_session_secret, has_url_password};
use super::session_file::{decoded, sessions};

/// The start of the file that stands in the history for a file of Git LFS.
const LARGE_FILE_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A rule that a content matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) rule: Rule,
    pub(super) entries: Option<u64>,
}

pub(super) fn session_match(content: &[u8]) -> Option<Match> {
    let entries = sessions(content)?;
    Some(Match {
        rule: Rule::SessionFile,
        entries: Some(entries),
    })
}

pub(super) fn matches(content: &[u8]) -> Vec<Match> {
    let text = decoded(content);
    let mut matches: Vec<_> = session_match(content).into_iter().collect();
    let mut add = |rule| {
        matches.push(Match {
            rule,
            entries: None,
        })
    };
    if has_session_secret(&text) {
        add(Rule::SessionSecret);
    }
    if has_url_password(&text) {
        add(Rule::UrlPassword);
    }
    matches
}

pub(super) fn is_large_file_pointer(content: &[u8]) -> bool {
    content.starts_with(LARGE_FILE_POINTER)
}
