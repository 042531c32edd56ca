use std::time::Duration;

use http::request::Parts;

use crate::{error::Error, metrics::Metrics};

/// A check without the feature `check`. No value of this type exists, so the compiler removes the
/// code that would use one.
#[derive(Clone)]
pub(crate) enum Check {}

/// The answer that a request has got. Without a check, there is none.
#[derive(Default)]
pub(crate) struct Verdict {}

impl Check {
    pub(crate) fn set_limit(&mut self, _: Duration) {
        match *self {}
    }

    pub(crate) fn is_same(&self, _: &Self) -> bool {
        match *self {}
    }

    pub(crate) async fn ask(&self, _: String, _: Parts, _: &Metrics) -> Result<bool, Error> {
        match *self {}
    }

    pub(crate) async fn ask_once(
        &self,
        _: &Verdict,
        _: &str,
        _: &Parts,
        _: &Metrics,
    ) -> Result<bool, Error> {
        match *self {}
    }
}
