use std::fmt;

use aes::{Aes256Enc, cipher::KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{hmac::HmacKey, secret::Secret};

/// The HKDF salt and the start of every `info`. A new token version needs a new label.
const LABEL: &[u8] = b"tower-sealed-session/v1";

/// The purpose of a key. A key opens only what was sealed for the same purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose(pub(crate) &'static str);

impl Purpose {
    pub(crate) const COOKIE: Self = Self("cookie");
    /// A cookie that is set together with a legacy cookie.
    pub(crate) const PAIRED: Self = Self("cookie, paired");
    /// A row of a store.
    pub(crate) const STORE: Self = Self("store");
    /// The tags of owners in a store's index.
    pub(crate) const OWNER: Self = Self("owner");
}

/// The values that a key is bound to besides its secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) cookie_name: &'a str,
    pub(crate) audience: &'a str,
}

/// The id of the key that sealed a token. It is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(crate) [u8; KeyId::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 4;
}

/// As hex.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The keys of one secret in one context, ready for use.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) purpose: Purpose,
    pub(crate) enc: Aes256Enc,
    pub(crate) mac: HmacKey,
    pub(crate) iv: HmacKey,
}

/// The bytes of a [`Key`].
pub(crate) struct RawKey {
    pub(crate) id: KeyId,
    pub(crate) enc: Zeroizing<[u8; 32]>,
    pub(crate) mac: Zeroizing<[u8; 32]>,
    pub(crate) iv: Zeroizing<[u8; 32]>,
}

impl RawKey {
    /// Derives the keys of a secret in a context.
    ///
    /// ```text
    /// PRK = Extract(LABEL, secret)
    /// K_r = Expand(PRK, LABEL ‖ 00 ‖ r ‖ 00 ‖ LP(purpose) ‖ LP(name) ‖ LP(audience))
    /// ```
    pub(crate) fn derive(secret: &Secret, context: Context<'_>) -> Self {
        let prk = Hkdf::<Sha256>::new(Some(LABEL), secret.bytes());
        let parts = [context.purpose.0, context.cookie_name, context.audience];
        let lengths = parts.map(|part| {
            u16::try_from(part.len())
                .expect("the builder bounds names and audiences")
                .to_be_bytes()
        });
        let expand = |role: &[u8], out: &mut [u8]| {
            let mut info = vec![LABEL, b"\0", role, b"\0"];
            for (part, len) in parts.iter().zip(&lengths) {
                info.extend([&len[..], part.as_bytes()]);
            }
            prk.expand_multi_info(&info, out)
                .expect("32 bytes are fewer than 255 hashes");
        };
        let mut raw = Self {
            id: KeyId([0; KeyId::LEN]),
            enc: Zeroizing::default(),
            mac: Zeroizing::default(),
            iv: Zeroizing::default(),
        };
        expand(b"enc", &mut *raw.enc);
        expand(b"mac", &mut *raw.mac);
        expand(b"iv", &mut *raw.iv);
        expand(b"kid", &mut raw.id.0);
        raw
    }
}

impl Key {
    pub(crate) fn derive(secret: &Secret, context: Context<'_>) -> Self {
        let raw = RawKey::derive(secret, context);
        Self {
            id: raw.id,
            purpose: context.purpose,
            enc: Aes256Enc::new((&*raw.enc).into()),
            mac: HmacKey::new(&*raw.mac),
            iv: HmacKey::new(&*raw.iv),
        }
    }
}

/// Wipes the HMAC keys; `aes` wipes its own. With its own feature, `hmac` would also wipe its copy
/// for each message, which is a fifth of the cost of a short message.
impl Drop for Key {
    fn drop(&mut self) {
        (self.mac, self.iv) = (HmacKey::new(&[0; 32]), HmacKey::new(&[0; 32]));
        std::hint::black_box(&*self);
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
