use std::{convert::Infallible, time::Duration};

use time::OffsetDateTime;

use crate::store::{
    contract::{Creation, OwnerTag, Row, Saving, StoreKey, Stored, Version},
    error::StoreError,
};

/// A backend without the feature `store`. No value of this type exists, so the compiler removes the
/// code that would use one.
#[derive(Clone)]
pub(crate) enum Backend {}

/// The right to change a session. Without a store, no request waits for another one.
pub(crate) enum Turn {}

/// The deadline of a commit. Without a store, no commit is retried. The type has a value, since the
/// compiler would otherwise report unreachable code after its creation.
pub(crate) struct Deadline {}

impl Deadline {
    pub(crate) fn has_passed(&self) -> bool {
        true
    }
}

/// The order of the commits of one request. Without a store, they need none.
#[derive(Default)]
pub(crate) struct Lane {}

impl Turn {
    pub(crate) fn fail(&self, _: &StoreError) {
        match *self {}
    }
}

impl Backend {
    pub(crate) fn kind(&self) -> &'static str {
        match *self {}
    }

    pub(crate) fn set_timeout(&mut self, _: Duration) {
        match *self {}
    }

    pub(crate) fn timeout(&self) -> Duration {
        match *self {}
    }

    pub(crate) fn deadline(&self) -> Deadline {
        match *self {}
    }

    pub(crate) async fn turn(&self, _: StoreKey) -> Result<Turn, StoreError> {
        match *self {}
    }

    pub(crate) async fn enter(&self, _: &Lane) -> Result<Infallible, StoreError> {
        match *self {}
    }

    pub(crate) fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {
        match *self {}
    }

    pub(crate) async fn sleep(&self, _: Duration) {
        match *self {}
    }

    pub(crate) async fn load(&self, _: StoreKey) -> Result<Option<Stored>, StoreError> {
        match *self {}
    }

    pub(crate) async fn create(&self, _: StoreKey, _: &Row<'_>) -> Result<Creation, StoreError> {
        match *self {}
    }

    pub(crate) async fn save(
        &self,
        _: StoreKey,
        _: Version,
        _: &Row<'_>,
        _: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        match *self {}
    }

    pub(crate) async fn touch(
        &self,
        _: StoreKey,
        _: (Version, OffsetDateTime),
        _: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        match *self {}
    }

    pub(crate) fn touch_later(&self, _: StoreKey, _: (Version, OffsetDateTime), _: OffsetDateTime) {
        match *self {}
    }

    pub(crate) async fn delete(&self, _: StoreKey) -> Result<bool, StoreError> {
        match *self {}
    }
}
