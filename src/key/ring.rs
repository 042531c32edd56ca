use std::{fmt, sync::Arc};

use super::{
    derive::{Context, Key, KeyId, Purpose, RawKey},
    secret::Secret,
};
use crate::error::Error;

/// The current secret, which seals and opens, and its fallbacks, which only open.
///
/// ```
/// use tower_sealed_session::{KeyRing, Secret, SecretError};
///
/// fn from_a_vault(new: &str, old: &str) -> Result<KeyRing, SecretError> {
///     Ok(KeyRing::new(Secret::new(new)?).fallback(Secret::new(old)?))
/// }
/// ```
///
/// # Rotation
///
/// 1. Add the new secret as a fallback on every instance. Then each instance can open the sessions
///    of all others.
/// 2. Swap the two: the new secret becomes the current one, and the old one a fallback. Sessions
///    are sealed with the new secret when they are used.
/// 3. Remove the old one after the longest life of a cookie: the absolute timeout, or
///    `max_remember` if sessions are remembered.
///
/// If an instance lacks a secret that others use, the event `unknown_keys` warns of it; see
/// [`guide::events`](crate::guide::events).
///
/// To end every session at once, replace the current secret and configure no fallback.
pub struct KeyRing {
    current: Secret,
    fallbacks: Vec<Secret>,
}

impl KeyRing {
    /// A ring that seals and opens with `current`.
    #[must_use]
    pub fn new(current: Secret) -> Self {
        Self {
            current,
            fallbacks: Vec::new(),
        }
    }

    /// Adds a secret that only opens. A secret that the ring already has is ignored.
    #[must_use]
    pub fn fallback(mut self, secret: Secret) -> Self {
        if self.secrets().all(|held| held.bytes() != secret.bytes()) {
            self.fallbacks.push(secret);
        }
        self
    }

    /// A ring with one random secret, for development and tests: the sessions end with the process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`](crate::ErrorKind::Entropy) if the system's random source fails.
    pub fn ephemeral() -> Result<Self, Error> {
        Secret::ephemeral().map(Self::new)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn derive(&self, context: Context<'_>) -> Keys {
        self.derive_all(&[context])
    }

    /// The keys for several contexts. The first context of the current secret seals.
    pub(crate) fn derive_all(&self, contexts: &[Context<'_>]) -> Keys {
        let secrets = self.secrets();
        let keys = secrets.flat_map(|secret| contexts.iter().map(|&c| Key::derive(secret, c)));
        Keys(keys.collect())
    }

    /// The bytes of the keys for one context, those of the current secret first.
    pub(crate) fn derive_raw(&self, context: Context<'_>) -> Vec<RawKey> {
        self.secrets()
            .map(|secret| RawKey::derive(secret, context))
            .collect()
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.fallbacks)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("current", &self.current)
            .field("fallbacks", &self.fallbacks.len())
            .finish()
    }
}

/// The keys of a ring, the current one first. Never empty.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[Key]>);

/// Whether a token was opened by the current key or by a fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Current,
    Fallback,
}

impl Age {
    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Fallback => "fallback",
        }
    }
}

impl Keys {
    #[cfg(test)]
    pub(crate) fn of(keys: Vec<Key>) -> Self {
        Self(keys.into())
    }

    pub(crate) fn current(&self) -> &Key {
        &self.0[0]
    }

    /// The newest key for that purpose.
    pub(crate) fn newest(&self, purpose: Purpose) -> Option<&Key> {
        self.0.iter().find(|key| key.purpose == purpose)
    }

    /// The keys with that id: almost always one, but two are possible.
    pub(crate) fn by_id(&self, id: KeyId) -> impl Iterator<Item = (Age, &Key)> {
        let ages = std::iter::once(Age::Current).chain(std::iter::repeat(Age::Fallback));
        ages.zip(&*self.0).filter(move |(_, key)| key.id == id)
    }

    /// All keys, the current one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Whether there are keys of more than one secret.
    pub(crate) fn has_fallbacks(&self) -> bool {
        let purpose = self.current().purpose;
        self.0.iter().filter(|key| key.purpose == purpose).count() > 1
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|key| key.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn secret(n: u8) -> Secret {
        Secret::new(format!("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZ{n:03}")).expect("good")
    }

    #[test]
    fn equal_secrets_are_dropped() {
        let ring = KeyRing::new(secret(1))
            .fallback(secret(1))
            .fallback(secret(2))
            .fallback(secret(2));
        assert_eq!(ring.secrets().count(), 2);
    }

    #[test]
    fn the_current_key_comes_first_and_the_others_are_fallbacks() {
        let context = Context {
            purpose: Purpose::COOKIE,
            cookie_name: "a",
            audience: "",
        };
        let keys = KeyRing::new(secret(1)).fallback(secret(2)).derive(context);
        let ids: Vec<_> = keys.ids().collect();
        let age = |id| keys.by_id(id).map(|(age, _)| age).collect::<Vec<_>>();
        assert_eq!(keys.current().id, ids[0]);
        assert_eq!(age(ids[0]), [Age::Current]);
        assert_eq!(age(ids[1]), [Age::Fallback]);
        assert_eq!(age(KeyId(*b"none")), []);
    }

    #[test]
    fn debug_of_a_ring_shows_only_its_size() {
        let ring = KeyRing::new(secret(1)).fallback(secret(2));
        let shown = "KeyRing { current: Secret(..), fallbacks: 1 }";
        assert_eq!(format!("{ring:?}"), shown);
    }

    #[test]
    fn debug_of_a_key_shows_only_its_id() {
        let context = Context {
            purpose: Purpose::COOKIE,
            cookie_name: "a",
            audience: "",
        };
        let keys = KeyRing::new(secret(1)).derive(context);
        let (key, id) = (keys.current(), keys.current().id);
        assert_eq!(format!("{key:?}"), format!("Key {{ id: {id:?}, .. }}"));
    }
}
