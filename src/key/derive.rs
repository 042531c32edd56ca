use aes::{Aes256Enc, cipher::KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{HmacKey, Secret};

/// The HKDF salt, and the start of every `info`; a new token version needs a new one.
const LABEL: &[u8] = b"tower-sealed-session/v1";

/// What a key is for. A key of one purpose opens nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose(pub(crate) &'static str);

impl Purpose {
    pub(crate) const COOKIE: Self = Self("cookie");
    /// A cookie that was set along with the old system's.
    pub(crate) const TWIN: Self = Self("cookie with a twin");
    /// What a store keeps.
    #[cfg(feature = "store")]
    pub(crate) const STORE: Self = Self("store");
    /// The same of what says where a session is that came in a cookie.
    #[cfg(feature = "store")]
    pub(crate) const MOVED: Self = Self("store, from a cookie");
    /// The tags of owners.
    #[cfg(feature = "store")]
    pub(crate) const OWNER: Self = Self("owner");
}

/// All that a key is bound to besides its secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) cookie_name: &'a str,
    pub(crate) audience: &'a str,
}

/// Names the key that sealed a token, outside the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(crate) [u8; KeyId::LEN]);

impl KeyId {
    pub(crate) const LEN: usize = 4;
}

/// The keys of one secret in one context, ready for use.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) purpose: Purpose,
    pub(crate) enc: Aes256Enc,
    pub(crate) mac: HmacKey,
    pub(crate) iv: HmacKey,
}

/// The same as bytes.
pub(crate) struct RawKey {
    pub(crate) id: KeyId,
    pub(crate) enc: Zeroizing<[u8; 32]>,
    pub(crate) mac: Zeroizing<[u8; 32]>,
    pub(crate) iv: Zeroizing<[u8; 32]>,
}

impl RawKey {
    /// `PRK = Extract(LABEL, secret)`, `K_r = Expand(PRK, LABEL ‖ 00 ‖ r ‖ 00 ‖ LP(purpose) ‖ LP(name) ‖ LP(audience))`.
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

/// Wipes what `aes` does not wipe itself. `hmac` could, but only along with the copy that each message takes, which is a
/// fifth of the price of a short one.
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
