//! Secrets, and the keys that are derived from them.
//!
//! A [`Secret`] is text that passed its checks. A [`KeyRing`] holds the current secret and its
//! fallbacks. A [`Key`] is derived from a secret for one purpose, cookie name and audience.

mod derive;
mod env;
mod env_error;
mod hmac;
mod published;
mod ring;
mod secret;
mod weak;

pub(crate) use self::derive::{Context, Key, KeyId, Purpose, RawKey};
#[cfg(any(test, fuzzing))]
pub(crate) use self::env::key_ring;
pub(crate) use self::env::{flag, is_silent};
pub use self::env_error::{EnvError, EnvProblem};
pub(crate) use self::hmac::HmacKey;
pub use self::ring::KeyRing;
pub(crate) use self::ring::{Age, Keys};
pub use self::secret::{Secret, SecretError};
