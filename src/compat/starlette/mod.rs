mod python;

use std::fmt;

use base64::engine::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::format::{Format, Signed, Unreadable};
use crate::{
    event::Event,
    key::Secret,
    metrics::Metrics,
    text::{STANDARD, URL_SAFE_NO_PAD},
};

/// The cookie value of Starlette's `SessionMiddleware` since 0.8.0 (2018). FastAPI uses it too.
///
/// ```text
/// value = base64( JSON ) ‖ "." ‖ timestamp ‖ "." ‖ signature        itsdangerous.TimestampSigner
/// timestamp = base64url( seconds since 1970, big-endian, without leading zeros )
/// signature = base64url( HMAC-SHA-1( key, all before its dot ) )
/// key = SHA-1( "itsdangerous.Signer" ‖ "signer" ‖ secret )
/// ```
///
/// It accepts and refuses the same values as Starlette, including base64 with invalid bytes in it.
/// One case differs: for a signed value that is not JSON, Starlette's response is a 500. Here, it
/// is an empty session.
///
/// # Security
///
/// The value is signed, not encrypted: anyone who has the cookie can read it. The known attacks on
/// SHA-1 need two colliding messages that the attacker chose. They do not break HMAC-SHA-1. This
/// crate uses SHA-1 for this format only.
pub struct Starlette {
    /// Newest first.
    keys: Box<[Hmac<Sha1>]>,
}

impl Starlette {
    /// The format of an app with this `secret_key`. If the app has rotated its secret, pass the
    /// oldest first and the newest last, as for itsdangerous. The last one signs.
    ///
    /// A secret that [`Secret::new`] would refuse is accepted, with a warning event. An attacker
    /// who guesses it can make sessions, both for the legacy app and for this one.
    ///
    /// # Errors
    ///
    /// Fails if there is no secret, or if one is empty.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, EmptySecret> {
        let mut keys = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.is_empty() {
                return Err(EmptySecret);
            }
            if Secret::new(secret).is_err() {
                Event::WeakLegacy.emit(Metrics::of_process());
            }
            keys.push(Self::key(secret));
        }
        keys.reverse();
        match keys.is_empty() {
            true => Err(EmptySecret),
            false => Ok(Self { keys: keys.into() }),
        }
    }

    fn key(secret: &str) -> Hmac<Sha1> {
        let mut hash = Sha1::new();
        hash.update(b"itsdangerous.Signersigner");
        hash.update(secret);
        let key = Zeroizing::new(<[u8; 20]>::from(hash.finalize()));
        Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length")
    }
}

/// The legacy app's secret is missing or empty.
///
/// Without a secret, no old session can be read. With an empty one, anyone can make sessions.
/// `Debug` prints the same text as `Display`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmptySecret;

impl fmt::Display for EmptySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the legacy app's secret is missing or empty: pass its `secret_key`")
    }
}

impl fmt::Debug for EmptySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for EmptySecret {}

impl Format for Starlette {
    fn open(&self, value: &[u8]) -> Result<Signed, Unreadable> {
        let value = python::cookie_value(value);
        let (signed, signature) = rsplit_dot(&value).ok_or(Unreadable::Forged)?;
        let signature = python::urlsafe_b64decode(signature).ok_or(Unreadable::Forged)?;
        let verifies = |key: &Hmac<Sha1>| {
            let mac = key.clone().chain_update(signed);
            mac.verify_slice(&signature).is_ok()
        };
        if !self.keys.iter().any(verifies) {
            return Err(Unreadable::Forged);
        }
        let (payload, timestamp) = rsplit_dot(signed).ok_or(Unreadable::Undecodable)?;
        let timestamp = python::urlsafe_b64decode(timestamp).ok_or(Unreadable::Undecodable)?;
        Ok(Signed {
            json: python::b64decode(payload).ok_or(Unreadable::Undecodable)?,
            at: moment(&timestamp),
        })
    }

    fn seal(&self, json: &str, at: OffsetDateTime) -> String {
        let mut value = STANDARD.encode(json);
        let seconds = u64::try_from(at.unix_timestamp())
            .unwrap_or(0)
            .to_be_bytes();
        let leading = seconds.iter().take_while(|&&byte| byte == 0).count();
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(&seconds[leading..], &mut value);
        let signature = self.keys[0].clone().chain_update(&value).finalize();
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.into_bytes(), &mut value);
        value
    }

    fn len(&self, json: usize) -> usize {
        // a timestamp takes 6 characters until 2106, then 7
        json.div_ceil(3) * 4 + ".".len() + 7 + ".".len() + 27
    }
}

/// The time of a timestamp. If it is out of range, it becomes the last possible time, which is in
/// the future.
fn moment(bytes: &[u8]) -> OffsetDateTime {
    let seconds = bytes.iter().try_fold(0_i64, |seconds, &byte| {
        seconds.checked_mul(256)?.checked_add(byte.into())
    });
    seconds
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

fn rsplit_dot(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b'.', bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Overwrites the keys, because `hmac` does not.
impl Drop for Starlette {
    fn drop(&mut self) {
        for key in &mut self.keys {
            *key = Hmac::new_from_slice(&[0]).expect("HMAC takes keys of any length");
        }
        std::hint::black_box(&*self);
    }
}

impl fmt::Debug for Starlette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starlette")
            .field("keys", &self.keys.len())
            .finish()
    }
}
