//! Format 1: seals bytes into a token, and opens tokens.
//!
//! The encryption is Tink's `AES256_CTR_HMAC_SHA256`, encrypt-then-MAC.
//!
//! ```text
//! token = base64url-nopad( 01 ‖ kid(4) ‖ IV(16) ‖ C ‖ T(32) )
//! C     = AES-256-CTR(K_enc, initial counter block = IV) ⊕ P
//! T     = HMAC-SHA-256(K_mac, AAD ‖ IV ‖ C ‖ be64(8·|AAD|))
//! IV    = HMAC-SHA-256(K_iv, R(32 random bytes) ‖ be64(|AAD|) ‖ AAD ‖ P)[..16]
//! ```
//!
//! After 2^44 seals under one key, two IVs are equal with probability 2^-41. Seal fewer than that.

use aes::cipher::{InnerIvInit as _, StreamCipherCore as _};
use base64::engine::Engine as _;
use ctr::{CtrCore, flavors::Ctr128BE};

use crate::{
    key::{Age, HmacKey, Key, KeyId, Keys, Purpose},
    text::URL_SAFE_NO_PAD,
};

const VERSION: u8 = 1;
const IV_LEN: usize = 16;
/// The length of the tag, which follows the ciphertext.
pub(crate) const TAG_LEN: usize = HmacKey::HASH_LEN;
const IV_START: usize = 1 + KeyId::LEN;

/// The number of random bytes that a seal takes.
pub(crate) const RANDOM_LEN: usize = 32;

/// The number of bytes before the plaintext in the buffer of [`seal`]. The random bytes and the
/// length of the AAD are written there, as input of the IV.
pub(crate) const HEADROOM: usize = RANDOM_LEN + 8;

/// The number of bytes before the ciphertext in a token.
pub(crate) const HEAD_LEN: usize = IV_START + IV_LEN;
const TOKEN_START: usize = HEADROOM - HEAD_LEN;

/// The number of bytes that a token adds to its plaintext.
pub(crate) const OVERHEAD: usize = HEAD_LEN + TAG_LEN;
const _: () = assert!(OVERHEAD == 53);

/// The reason why a token does not open. Only events show it: the response is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// Not canonical base64url, or too short for a token.
    Garbage,
    /// Another format version.
    Version,
    /// Sealed with a key that is not on the ring.
    UnknownKey(KeyId),
    /// The tag does not match.
    Forged,
}

/// A token that opened, with the age and the purpose of the key that sealed it.
pub(crate) struct Opened {
    pub(crate) bytes: Vec<u8>,
    pub(crate) age: Age,
    pub(crate) purpose: Purpose,
}

impl Opened {
    /// The range of the plaintext in `bytes`.
    pub(crate) fn plaintext(&self) -> std::ops::Range<usize> {
        HEAD_LEN..self.bytes.len() - TAG_LEN
    }
}

/// The length of a token for a plaintext of that length.
pub(crate) const fn token_len(plaintext: usize) -> usize {
    text_len(OVERHEAD + plaintext)
}

/// The length of that many bytes as base64 without padding.
pub(crate) const fn text_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// The bytes of a token, after [`TOKEN_START`] unused bytes.
pub(crate) struct Sealed(Vec<u8>);

impl std::ops::Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[TOKEN_START..]
    }
}

/// Seals in place. `buffer` holds [`HEADROOM`] bytes of any content, then the plaintext.
pub(crate) fn seal(
    key: &Key,
    aad: &[u8],
    random: &[u8; RANDOM_LEN],
    mut buffer: Vec<u8>,
) -> Sealed {
    buffer[..RANDOM_LEN].copy_from_slice(random);
    buffer[RANDOM_LEN..HEADROOM].copy_from_slice(&(aad.len() as u64).to_be_bytes());
    let hash = if aad.is_empty() {
        key.iv.hash([&buffer])
    } else {
        let (before, plaintext) = buffer.split_at(HEADROOM);
        key.iv.hash([before, aad, plaintext])
    };
    let iv = *hash.first_chunk().expect("a hash is longer than an IV");

    let token = &mut buffer[TOKEN_START..];
    token[0] = VERSION;
    token[1..IV_START].copy_from_slice(&key.id.0);
    token[IV_START..HEAD_LEN].copy_from_slice(&iv);
    apply_keystream(key, iv, &mut token[HEAD_LEN..]);

    let end = buffer.len();
    buffer.extend_from_slice(&bits(aad));
    let tag = key.mac.hash([aad, &buffer[TOKEN_START + IV_START..]]);
    buffer.truncate(end);
    buffer.extend_from_slice(&tag);
    Sealed(buffer)
}

/// Opens a token: length and base64 → version → key → tag → decryption, in that order.
#[inline(always)] // without this, a read costs 1 % more instructions; there is one caller
pub(crate) fn open(keys: &Keys, aad: &[u8], token: &[u8]) -> Result<Opened, Unsealed> {
    open_bytes(keys, aad, parse_text(token).ok_or(Unsealed::Garbage)?)
}

/// Opens a token from its bytes rather than its text.
#[inline(always)] // see `open`
pub(crate) fn open_bytes(keys: &Keys, aad: &[u8], mut bytes: Vec<u8>) -> Result<Opened, Unsealed> {
    if bytes.len() < OVERHEAD {
        return Err(Unsealed::Garbage);
    }
    if bytes[0] != VERSION {
        return Err(Unsealed::Version);
    }
    let id = KeyId(
        bytes[1..IV_START]
            .try_into()
            .expect("the slice has the id's length"),
    );
    let end = bytes.len() - TAG_LEN;
    let tag = *bytes.last_chunk().expect("the length was checked");
    bytes[end..][..8].copy_from_slice(&bits(aad));
    let mut reason = Unsealed::UnknownKey(id);
    for (age, key) in keys.by_id(id) {
        if key.mac.verify([aad, &bytes[IV_START..end + 8]], tag) {
            let iv = *bytes[IV_START..]
                .first_chunk()
                .expect("the length was checked");
            apply_keystream(key, iv, &mut bytes[HEAD_LEN..end]);
            let purpose = key.purpose;
            return Ok(Opened {
                bytes,
                age,
                purpose,
            });
        }
        reason = Unsealed::Forged;
    }
    Err(reason)
}

/// The id of the key that a token names, if it has the form of a token.
pub(crate) fn key_id(token: &[u8]) -> Option<KeyId> {
    let bytes = parse_text(token).filter(|bytes| bytes.len() >= OVERHEAD && bytes[0] == VERSION)?;
    bytes[1..].first_chunk().copied().map(KeyId)
}

/// Appends the token as text to `out`.
pub(crate) fn append_text(sealed: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + text_len(sealed.len()), 0);
    URL_SAFE_NO_PAD
        .encode_slice(sealed, &mut out[start..])
        .expect("it has the text's length");
}

/// The bytes of a token from its text.
pub(crate) fn parse_text(text: &[u8]) -> Option<Vec<u8>> {
    // `decode` takes a zeroed allocation, which is dearer
    let mut bytes = Vec::with_capacity(text.len().div_ceil(4) * 3);
    URL_SAFE_NO_PAD.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

/// `be64(8·|AAD|)`
fn bits(aad: &[u8]) -> [u8; 8] {
    (8 * aad.len() as u64).to_be_bytes()
}

/// `AES-256-CTR(K_enc, initial counter block = IV) ⊕ data`, which is its own inverse.
fn apply_keystream(key: &Key, iv: [u8; IV_LEN], data: &mut [u8]) {
    let core = CtrCore::<_, Ctr128BE>::inner_iv_init(&key.enc, &iv.into());
    core.apply_keystream_partial(data.into());
}
