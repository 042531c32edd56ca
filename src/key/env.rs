use std::{
    ffi::OsString,
    io::{self, Read as _},
};

use zeroize::Zeroizing;

use super::{
    env_error::{EnvError, EnvProblem, MAX_FALLBACKS, SECRET},
    ring::KeyRing,
    secret::{Secret, is_separator},
};

const SECRET_SOURCES: [Source; 4] = [
    Source::Text(SECRET),
    Source::File("SESSION_SECRET_FILE"),
    Source::Text("SESSION_ENCRYPTION_KEY"),
    Source::File("SESSION_ENCRYPTION_KEY_FILE"),
];
const FALLBACK_SOURCES: [Source; 2] = [
    Source::Text("SESSION_SECRET_FALLBACKS"),
    Source::File("SESSION_SECRET_FALLBACKS_FILE"),
];

/// The size limit of a file of secrets. It also stops endless files such as `/dev/zero`.
const MAX_FILE: usize = 16 * 1024;

/// Looks up a variable. Tests pass their own function.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

#[derive(Clone, Copy)]
enum Source {
    Text(&'static str),
    File(&'static str),
}

impl Source {
    fn variable(self) -> &'static str {
        match self {
            Self::Text(variable) | Self::File(variable) => variable,
        }
    }

    fn read(self, value: OsString) -> Result<Zeroizing<Vec<u8>>, EnvError> {
        match self {
            Self::Text(_) => Ok(Zeroizing::new(value.into_encoded_bytes())),
            Self::File(variable) => read_file(value)
                .map_err(|error| EnvError::new(variable, EnvProblem::Unreadable(error))),
        }
    }
}

fn read_file(path: OsString) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE));
    let len = std::fs::File::open(path)?
        .take(MAX_FILE as u64)
        .read_to_end(&mut text)?;
    match len {
        MAX_FILE => Err(io::Error::other("file too large, 16 KiB or more")),
        _ => Ok(text),
    }
}

pub(crate) fn key_ring(lookup: Lookup<'_>) -> Result<KeyRing, EnvError> {
    let Some((source, text)) = only(&SECRET_SOURCES, lookup)? else {
        return Err(EnvError::new(SECRET, EnvProblem::Missing));
    };
    let current = Secret::new(&*text)
        .map_err(|reason| EnvError::new(source.variable(), EnvProblem::Refused(reason)))?;
    let fallbacks = fallbacks(lookup)?.into_iter();
    Ok(fallbacks.fold(KeyRing::new(current), KeyRing::fallback))
}

fn fallbacks(lookup: Lookup<'_>) -> Result<Vec<Secret>, EnvError> {
    let Some((source, text)) = only(&FALLBACK_SOURCES, lookup)? else {
        return Ok(Vec::new());
    };
    let fail = |problem| EnvError::new(source.variable(), problem);
    let items: Vec<&[u8]> = text
        .split(|&b| is_separator(b))
        .filter(|item| !item.is_empty())
        .collect();
    let count = items.len();
    if count > MAX_FALLBACKS {
        return Err(fail(EnvProblem::TooManyFallbacks { found: count }));
    }
    items
        .iter()
        .zip(1..)
        .map(|(item, position)| {
            Secret::new(item).map_err(|reason| {
                fail(EnvProblem::RefusedFallback {
                    position,
                    count,
                    reason,
                })
            })
        })
        .collect()
}

/// A source that is set, and its content.
type Found = (Source, Zeroizing<Vec<u8>>);

/// Returns the one source that is set. Several are an error.
fn only(sources: &[Source], lookup: Lookup<'_>) -> Result<Option<Found>, EnvError> {
    let mut set: Vec<(Source, OsString)> = sources
        .iter()
        .filter_map(|source| Some((*source, lookup(source.variable())?)))
        .collect();
    // deployments often pass an empty variable where nothing was set
    if set.iter().any(|(_, value)| !value.is_empty()) {
        set.retain(|(_, value)| !value.is_empty());
    }
    let mut set = set.into_iter();
    let Some((source, value)) = set.next() else {
        return Ok(None);
    };
    match set.next() {
        Some((other, _)) => {
            let other = other.variable();
            Err(EnvError::new(
                source.variable(),
                EnvProblem::Conflict { other },
            ))
        }
        None => Ok(Some((source, source.read(value)?))),
    }
}

/// Whether no variable for secrets is set, not even to an empty value. This means development.
pub(crate) fn is_silent(lookup: Lookup<'_>) -> bool {
    let mut sources = SECRET_SOURCES.iter().chain(&FALLBACK_SOURCES);
    sources.all(|source| lookup(source.variable()).is_none())
}

/// Whether a variable is `1`. Unset, empty and `0` mean no.
pub(crate) fn flag(variable: &'static str, lookup: Lookup<'_>) -> Result<bool, EnvError> {
    match lookup(variable) {
        None => Ok(false),
        Some(value) if value.is_empty() || value == "0" => Ok(false),
        Some(value) if value == "1" => Ok(true),
        Some(_) => Err(EnvError::new(variable, EnvProblem::NotAFlag)),
    }
}

impl KeyRing {
    /// Reads the ring from the environment.
    ///
    /// | variable | value |
    /// |---|---|
    /// | `SESSION_SECRET` | the secret that seals and opens |
    /// | `SESSION_SECRET_FALLBACKS` | up to eight that only open, separated by commas or spaces |
    /// | `SESSION_ENCRYPTION_KEY` | an alias of `SESSION_SECRET` |
    /// | `SESSION_SECRET_FILE` | the path of a file with the secret |
    /// | `SESSION_ENCRYPTION_KEY_FILE` | an alias of `SESSION_SECRET_FILE` |
    /// | `SESSION_SECRET_FALLBACKS_FILE` | the path of a file with the fallbacks |
    ///
    /// # Errors
    ///
    /// Each mistake has its own error, which names the variable, the fault and the command that
    /// fixes it; see [`EnvError`].
    pub fn from_env() -> Result<Self, EnvError> {
        key_ring(&|name| std::env::var_os(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=";
    type Vars<'a> = &'a [(&'a str, &'a str)];

    const OLD: &str = "QmZ4c1l0d3hHb2pTa3VqN3BFd2V5bE5pRlR4c2tB";

    fn ring(vars: Vars<'_>) -> Result<KeyRing, EnvError> {
        key_ring(&|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    /// Returns the message, after checks that it has a command and shows no value.
    fn refusal(vars: Vars<'_>) -> String {
        let text = ring(vars).expect_err("refused").to_string();
        assert!(text.contains('`'), "no command in: {text}");
        for (_, value) in vars.iter().filter(|(_, value)| !value.trim().is_empty()) {
            assert!(!text.contains(value), "{text} shows a value");
        }
        text
    }

    #[test]
    fn each_source_alone_is_enough() {
        let path = std::env::temp_dir().join(format!("sealed-session-{}", std::process::id()));
        std::fs::write(&path, format!("{GOOD}\n")).expect("a temporary file");
        let file = path.to_str().expect("UTF-8");
        for source in ["SESSION_SECRET", "SESSION_ENCRYPTION_KEY"] {
            assert!(ring(&[(source, GOOD)]).is_ok());
        }
        for source in ["SESSION_SECRET_FILE", "SESSION_ENCRYPTION_KEY_FILE"] {
            assert!(ring(&[(source, file)]).is_ok());
        }
        assert!(ring(&[("SESSION_SECRET", ""), ("SESSION_SECRET_FILE", file)]).is_ok());
        assert!(
            ring(&[
                ("SESSION_SECRET", OLD),
                ("SESSION_SECRET_FALLBACKS_FILE", file)
            ])
            .is_ok()
        );
        std::fs::remove_file(path).expect("the file exists");
    }

    /// Below the limit, the error is about the content of the file.
    #[test]
    fn files_must_be_smaller_than_16_kib() {
        let path = std::env::temp_dir().join(format!("sealed-session-long-{}", std::process::id()));
        let file = path.to_str().expect("UTF-8");
        for (len, wanted) in [(16 * 1024 - 1, "not random"), (16 * 1024, "16 KiB")] {
            std::fs::write(&path, "a".repeat(len)).expect("a temporary file");
            let error = ring(&[("SESSION_SECRET_FILE", file)]).expect_err("refused");
            assert_eq!(error.variable(), "SESSION_SECRET_FILE");
            assert!(error.to_string().contains(wanted), "{error}");
        }
        std::fs::remove_file(path).expect("the file exists");
    }

    #[test]
    fn fallbacks_are_separated_by_commas_or_white_space_and_may_be_empty() {
        for list in [
            "",
            " ",
            OLD,
            &format!("{OLD},{GOOD}"),
            &format!(" {OLD} ,\n {GOOD}\t,"),
        ] {
            assert!(
                ring(&[("SESSION_SECRET", GOOD), ("SESSION_SECRET_FALLBACKS", list)]).is_ok(),
                "{list:?}"
            );
        }
    }

    #[test]
    fn errors_name_the_variable_the_problem_and_a_command() {
        let nine = (0..9)
            .map(|n| format!("{OLD}{n}"))
            .collect::<Vec<_>>()
            .join(",");
        let cases: [(Vars<'_>, &[&str]); 11] = [
            (&[], &["SESSION_SECRET is not set"]),
            (
                &[
                    ("SESSION_SECRET", GOOD),
                    ("SESSION_ENCRYPTION_KEY_FILE", "/dev/zero"),
                ],
                &["cannot be combined"],
            ),
            (
                &[("SESSION_SECRET_FILE", "/dev/zero")],
                &["SESSION_SECRET_FILE ", "16 KiB"],
            ),
            (
                &[("SESSION_SECRET_FALLBACKS", OLD)],
                &["SESSION_SECRET is not set"],
            ),
            (
                &[("SESSION_SECRET", "")],
                &["SESSION_SECRET is refused", "empty"],
            ),
            (
                &[("SESSION_SECRET", "hunter2")],
                &["SESSION_SECRET ", "7 bytes", "32"],
            ),
            (
                &[("SESSION_ENCRYPTION_KEY", "changeme")],
                &["SESSION_ENCRYPTION_KEY ", "placeholder"],
            ),
            (
                &[("SESSION_SECRET", GOOD), ("SESSION_ENCRYPTION_KEY", OLD)],
                &["SESSION_SECRET and SESSION_ENCRYPTION_KEY cannot be combined"],
            ),
            (
                &[("SESSION_SECRET_FILE", "/nonexistent")],
                &["SESSION_SECRET_FILE ", "cannot be read"],
            ),
            (
                &[
                    ("SESSION_SECRET", GOOD),
                    ("SESSION_SECRET_FALLBACKS", &format!("{OLD}, short")),
                ],
                &["SESSION_SECRET_FALLBACKS ", "secret 2 of 2", "5 bytes"],
            ),
            (
                &[
                    ("SESSION_SECRET", GOOD),
                    ("SESSION_SECRET_FALLBACKS", &nine),
                ],
                &["SESSION_SECRET_FALLBACKS ", "9 secrets", "at most 8"],
            ),
        ];
        for (vars, wanted) in cases {
            let text = refusal(vars);
            for part in wanted {
                assert!(text.contains(part), "{part:?} is not in: {text}");
            }
        }
    }

    #[test]
    fn at_most_eight_fallbacks_are_accepted() {
        let list = |count| {
            (0..count)
                .map(|n| format!("{OLD}{n}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let ring = |count| {
            ring(&[
                ("SESSION_SECRET", GOOD),
                ("SESSION_SECRET_FALLBACKS", &list(count)),
            ])
        };
        assert!(ring(8).is_ok());
        let error = ring(9).expect_err("refused");
        assert!(matches!(
            error.problem(),
            EnvProblem::TooManyFallbacks { found: 9 }
        ));
    }

    #[test]
    fn empty_variables_are_not_development() {
        assert!(is_silent(&|_| None));
        for source in SECRET_SOURCES.iter().chain(&FALLBACK_SOURCES) {
            let lookup = |name: &str| (name == source.variable()).then(OsString::new);
            assert!(!is_silent(&lookup), "{}", source.variable());
        }
    }

    #[test]
    fn errors_keep_their_source_and_debug_equals_display() {
        use std::error::Error as _;
        let source = |vars: Vars<'_>| {
            let error = ring(vars).expect_err("refused");
            assert_eq!(format!("{error:?}"), error.to_string());
            error.source().map(ToString::to_string)
        };
        let short = "the secret is too short: 7 bytes found, at least 32 needed";
        assert_eq!(source(&[]), None);
        assert_eq!(
            source(&[("SESSION_SECRET", "hunter2")]).as_deref(),
            Some(short)
        );
        let fallback = [
            ("SESSION_SECRET", GOOD),
            ("SESSION_SECRET_FALLBACKS", "hunter2"),
        ];
        assert_eq!(source(&fallback).as_deref(), Some(short));
        let missing = source(&[("SESSION_SECRET_FILE", "/nonexistent")]);
        assert!(missing.is_some_and(|text| text.contains("No such file")));
        let entropy = EnvError::entropy(crate::Error::entropy(getrandom::Error::UNSUPPORTED));
        assert!(
            entropy
                .source()
                .is_some_and(|source| source.source().is_some())
        );
    }

    #[test]
    fn flags_are_0_or_1() {
        let flag = |value: Option<&str>| flag("SESSION_INSECURE_HTTP", &|_| value.map(Into::into));
        assert!(flag(Some("1")).expect("a flag"));
        for no in [None, Some(""), Some("0")] {
            assert!(!flag(no).expect("a flag"));
        }
        assert!(
            flag(Some("true"))
                .expect_err("refused")
                .to_string()
                .contains("unset SESSION_INSECURE_HTTP")
        );
    }
}
