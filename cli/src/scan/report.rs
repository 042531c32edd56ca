//! What a scan found, and what it could not see.
//!
//! Nothing here holds any content of a file: no session id, no user id and no value.

use serde::Serialize;

/// The result of a scan.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Why some of the history or of the files was not seen.
    pub(crate) incomplete: Vec<Incomplete>,
    /// Session files in the index: the next commit contains them.
    pub(crate) tracked: Vec<String>,
    /// Session files in the work tree that `git add` would add.
    pub(crate) not_ignored: Vec<String>,
    /// The number of commits of all repositories, with the unreachable ones.
    pub(crate) commits: u64,
    /// The number of trees and files that were read from all repositories.
    pub(crate) objects: u64,
    /// The number of files in the work trees that were looked at.
    pub(crate) files: u64,
}

impl Report {
    pub(crate) fn verdict(&self) -> Verdict {
        let nothing = self.findings.is_empty() && self.tracked.is_empty();
        if !nothing || !self.not_ignored.is_empty() {
            return Verdict::Found;
        }
        if !self.incomplete.is_empty() {
            return Verdict::Incomplete;
        }
        Verdict::Clean
    }
}

/// A report in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Something was found. There may be more if the report is incomplete too.
    Found,
    /// Nothing was found, but not everything was seen.
    Incomplete,
    /// Everything was seen, and nothing was found.
    Clean,
}

/// One file content that matches one rule, with all places where it is.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// The submodule or nested repository that contains it. `None` is the scanned repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    /// One of its paths. Only the last part is known of some unreachable objects.
    pub(crate) path: Option<String>,
    /// The start of the id of its blob. A file that is only in the work tree also has one.
    pub(crate) object: String,
    /// The number of sessions. For a truncated file: those before its end.
    pub(crate) entries: Option<u64>,
    /// In bytes. `None` if the object is missing.
    pub(crate) size: Option<u64>,
    pub(crate) places: Vec<Place>,
    /// `OBJECT:rule`, which is the same in each scan.
    pub(crate) fingerprint: String,
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// The content is sessions, whatever the name of the file.
    SessionFile,
    /// The name is that of a session file. The content was not recognised or not read.
    SessionFileName,
    /// A variable such as `SESSION_SECRET` has a value.
    SessionSecret,
    /// The URL of a database or of Redis contains a password.
    UrlPassword,
}

impl Rule {
    /// The stable name, as in the serialized report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SessionFile => "session-file",
            Self::SessionFileName => "session-file-name",
            Self::SessionSecret => "session-secret",
            Self::UrlPassword => "url-password",
        }
    }

    /// Whether the finding is a session file.
    pub(crate) fn is_session_file(self) -> bool {
        matches!(self, Self::SessionFile | Self::SessionFileName)
    }
}

/// Where a finding is.
#[derive(Debug, Serialize)]
#[serde(tag = "where", rename_all = "kebab-case")]
pub(crate) enum Place {
    WorkTree {
        path: String,
        ignored: bool,
    },
    Index {
        path: String,
    },
    /// Commits that a branch, a tag or a reflog still reaches.
    History(Commits),
    Stash(Commits),
    /// Git deletes these objects one day, unless something refers to them again.
    Unreachable(Commits),
}

/// The commits that brought a file in, the oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Commits {
    pub(crate) commits: Vec<Commit>,
    /// The number of later commits that are not listed.
    pub(crate) more: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Commit {
    pub(crate) id: String,
    /// The date of the committer, such as `2024-03-03`.
    pub(crate) date: String,
    pub(crate) path: String,
}

/// Something that the scan could not see.
#[derive(Debug, Serialize)]
pub(crate) struct Incomplete {
    pub(crate) reason: Reason,
    /// The submodule or nested repository. `None` is the scanned repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    /// One sentence: what was not seen, and what to do.
    pub(crate) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    Shallow,
    PartialClone,
    MissingObjects,
    UnreadableObjects,
    AlternatesMissing,
    ReplaceRefs,
    Grafts,
    SubmoduleMissing,
    RepositoryUnreadable,
    WorkTreeMissing,
    UnreadableFiles,
    TooLarge,
    LargeFileStorage,
    TimeLimit,
    GitFailed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_the_same_name_everywhere() {
        for rule in [
            Rule::SessionFile,
            Rule::SessionFileName,
            Rule::SessionSecret,
            Rule::UrlPassword,
        ] {
            let serialized = serde_json::to_string(&rule).expect("a text");
            assert_eq!(serialized, format!("{:?}", rule.name()));
        }
    }
}
