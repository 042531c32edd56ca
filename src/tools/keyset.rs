//! The derived keys in the format of Tink.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::key::{Context, KeyRing, Purpose, RawKey};

/// What keys are for, see [`tink_keyset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPurpose {
    /// Cookies, of sessions and tickets.
    Cookie,
    /// Cookies that are set together with a legacy cookie.
    PairedCookie,
    /// The rows of a store.
    Store,
}

impl KeyPurpose {
    fn purpose(self) -> Purpose {
        match self {
            Self::Cookie => Purpose::COOKIE,
            Self::PairedCookie => Purpose::PAIRED,
            Self::Store => Purpose::STORE,
        }
    }
}

/// The keys of a ring for one purpose, cookie name and audience, as a keyset of Tink in JSON, in
/// clear text. The current key is the primary one, and those of the fallbacks follow.
///
/// With it, Tink opens cookies and rows in another language: a key is one of Tink's
/// `AES256_CTR_HMAC_SHA256`. The associated data is empty for cookies, and the store key for rows.
/// The section *The format* of ARCHITECTURE.md says where the bytes of the plaintext are described.
///
/// ```
/// use tower_sealed_session::{KeyRing, tools::{KeyPurpose, tink_keyset}};
///
/// let keyset = tink_keyset(&KeyRing::ephemeral()?, "__Host-Http-session", "", KeyPurpose::Cookie);
/// assert!(keyset.contains(r#""outputPrefixType":"TINK""#));
/// # Ok::<(), tower_sealed_session::Error>(())
/// ```
///
/// # Panics
///
/// If the name or the audience has more than 65 535 bytes, which no layer accepts.
///
/// # Security
///
/// Who has the keyset can read and forge every session of its purpose, but cannot learn the secret
/// or the keys of other purposes from it. Keep it as you keep the secret.
#[must_use]
pub fn tink_keyset(
    ring: &KeyRing,
    cookie_name: &str,
    audience: &str,
    purpose: KeyPurpose,
) -> Zeroizing<String> {
    let keys = ring.derive_raw(Context {
        purpose: purpose.purpose(),
        cookie_name,
        audience,
    });
    // it is never reallocated, which would leave copies in memory
    let mut out = Zeroizing::new(String::with_capacity(100 + 400 * keys.len()));
    for (n, key) in keys.iter().enumerate() {
        let id = u32::from_be_bytes(key.id.0);
        let before = match n {
            0 => format!(r#"{{"primaryKeyId":{id},"key":["#),
            _ => ",".to_owned(),
        };
        let value = Zeroizing::new(STANDARD.encode(&*protobuf(key)));
        write!(
            out,
            r#"{before}{{"keyData":{{"typeUrl":"type.googleapis.com/google.crypto.tink.AesCtrHmacAeadKey","value":"{}","keyMaterialType":"SYMMETRIC"}},"status":"ENABLED","keyId":{id},"outputPrefixType":"TINK"}}"#,
            &*value
        )
        .expect("a string takes everything");
    }
    out.push_str("]}");
    out
}

/// An `AesCtrHmacAeadKey` as Protocol Buffers.
///
/// ```text
/// 2: AesCtrKey { 2: { 1: 16 } (bytes of the IV), 3: K_enc }
/// 3: HmacKey { 2: { 1: 3 (SHA-256), 2: 32 } (bytes of the tag), 3: K_mac }
/// ```
fn protobuf(key: &RawKey) -> Zeroizing<Vec<u8>> {
    const AES: &[u8] = &[0x12, 38, 0x12, 2, 0x08, 16, 0x1a, 32];
    const HMAC: &[u8] = &[0x1a, 40, 0x12, 4, 0x08, 3, 0x10, 32, 0x1a, 32];
    Zeroizing::new([AES, &*key.enc, HMAC, &*key.mac].concat())
}
