use std::fmt;

use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{
    format::{Format, Signed, Unreadable},
    python,
};
use crate::{event::Event, key::Secret};

/// The value of the cookie of Starlette's `SessionMiddleware`, which is also FastAPI's, since 0.8.0 (2018).
///
/// ```text
/// value = base64( JSON ) ‖ "." ‖ timestamp ‖ "." ‖ signature        itsdangerous.TimestampSigner
/// timestamp = base64url( seconds since 1970, big-endian, without leading zeros )
/// signature = base64url( HMAC-SHA-1( SHA-1( "itsdangerous.Signer" ‖ "signer" ‖ secret ), all before its dot ) )
/// ```
///
/// It takes what Starlette takes, base64 with junk in it included, and refuses what Starlette refuses; what makes Starlette
/// answer 500 for ever, signed and not JSON, is an empty session here.
///
/// # Security
///
/// It is signed, not encrypted: whoever has the cookie reads it. SHA-1 is broken where an attacker chooses both of two
/// messages to collide, not as HMAC; it is used here alone.
pub struct Starlette {
    /// The newest first.
    keys: Box<[Hmac<Sha1>]>,
}

impl Starlette {
    /// The format of an app whose `secret_key` this is; of one that replaced its secret, the oldest first and the newest last,
    /// as itsdangerous has it. The last one signs.
    ///
    /// A secret that this crate would not take for its own is taken, with a warning (an event): whoever guesses it makes
    /// sessions of his own, here as well as there.
    ///
    /// # Errors
    ///
    /// No secret, or an empty one.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, EmptySecret> {
        let mut keys = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.is_empty() {
                return Err(EmptySecret);
            }
            if Secret::new(secret).is_err() {
                Event::WeakLegacy.emit();
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

/// The old app's secret is missing: nobody could come over, or with an empty one everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptySecret;

impl fmt::Display for EmptySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the old app's secret is missing or empty: give its `secret_key`")
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
        let mut value = STANDARD.encode_to_string(json);
        let seconds = u64::try_from(at.unix_timestamp())
            .unwrap_or(0)
            .to_be_bytes();
        let leading = seconds.iter().take_while(|&&byte| byte == 0).count();
        value.push('.');
        URL_SAFE_NO_PAD.encode_append(&seconds[leading..], &mut value);
        let signature = self.keys[0].clone().chain_update(&value).finalize();
        value.push('.');
        URL_SAFE_NO_PAD.encode_append(signature.into_bytes(), &mut value);
        value
    }

    fn len(&self, json: usize) -> usize {
        // a timestamp takes 6 until 2106, and then 7
        json.div_ceil(3) * 4 + ".".len() + 7 + ".".len() + 27
    }
}

/// A time that no calendar has is one in the future.
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

/// Overwrites the keys: `hmac` does not by itself.
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
