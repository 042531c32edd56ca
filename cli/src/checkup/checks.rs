//! The list of what was checked.

use serde::Serialize;

use crate::{exit::Failure, warnings::Warnings};

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    pub(crate) fn add(&mut self, check: &'static str, verdict: Verdict, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Check {
            check,
            verdict,
            text,
        });
    }

    pub(crate) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Verdict::Ok, text);
    }

    pub(crate) fn warn(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Verdict::Warn, text);
    }

    pub(crate) fn fail(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Verdict::Fail, text);
    }

    /// Adds the result of a step. `None`: it failed, and what depends on it cannot be checked.
    pub(crate) fn step<T>(
        &mut self,
        check: &'static str,
        good: &str,
        result: Result<T, impl Into<Failure>>,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(check, good);
                Some(value)
            }
            Err(error) => {
                self.fail(check, error.into().to_string());
                None
            }
        }
    }

    /// Adds the warnings of the library since the last call.
    pub(crate) fn add_warnings(&mut self, check: &'static str, warnings: &Warnings) {
        for warning in warnings.take() {
            self.warn(check, warning);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.iter().any(|check| check.verdict == Verdict::Fail)
    }

    /// A line for each check.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Check {
            check,
            verdict,
            text: line,
        } in &self.0
        {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            text.push_str(&format!("{verdict:4}  {check}: {line}\n"));
        }
        text
    }
}
