//! Format 1: bytes to token and back. Tink's `AES256_CTR_HMAC_SHA256`, encrypt-then-MAC.
//!
//! ```text
//! token = base64url-nopad( 01 ‖ kid(4) ‖ IV(16) ‖ C ‖ T(32) )
//! C     = AES-256-CTR(K_enc, initial counter block = IV) ⊕ P
//! T     = HMAC-SHA-256(K_mac, AAD ‖ IV ‖ C ‖ be64(8·|AAD|))
//! IV    = HMAC-SHA-256(K_iv, R(32 random bytes) ‖ be64(|AAD|) ‖ AAD ‖ P)[..16]
//! ```
//!
//! One IV repeats with probability 2^-41 after 2^44 seals under one key: keep below that.

use aes::cipher::{InnerIvInit as _, StreamCipher as _, StreamCipherCoreWrapper};
use base64_simd::URL_SAFE_NO_PAD as BASE64URL;
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::key::{Age, Key, KeyId, Keys};

const VERSION: u8 = 1;
const IV_LEN: usize = 16;
/// What follows it.
pub(crate) const TAG_LEN: usize = 32;
const IV_START: usize = 1 + KeyId::LEN;

/// What precedes the plaintext in the buffer that [`seal`] takes.
pub(crate) const HEADROOM: usize = IV_START + IV_LEN;

/// How many random bytes a seal takes.
pub(crate) const RANDOM_LEN: usize = 32;

const OVERHEAD: usize = HEADROOM + TAG_LEN;
const _: () = assert!(OVERHEAD == 53);

/// Why a token does not open. For the operator's events alone: to a visitor all are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// Not canonical base64url of a token's length.
    Garbage,
    /// Of another version.
    Version,
    /// Sealed by a key that is not on the ring.
    UnknownKey,
    /// The tag does not match.
    Forged,
}

/// A token that opened: its plaintext, and the age of the key that sealed it.
pub(crate) struct Opened {
    pub(crate) bytes: Vec<u8>,
    pub(crate) age: Age,
}

impl Opened {
    /// Where the plaintext stands in `bytes`.
    pub(crate) fn plaintext(&self) -> std::ops::Range<usize> {
        HEADROOM..self.bytes.len() - TAG_LEN
    }
}

/// The length of the token of a plaintext.
pub(crate) const fn token_len(plaintext: usize) -> usize {
    text_len(OVERHEAD + plaintext)
}

/// The length of bytes as base64 without padding.
pub(crate) const fn text_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Seals in place: `buffer` is [`HEADROOM`] bytes of anything and the plaintext, and becomes the token's bytes.
pub(crate) fn seal(key: &Key, aad: &[u8], random: &[u8; RANDOM_LEN], buffer: &mut Vec<u8>) {
    let iv = hedged_iv(key, aad, random, &buffer[HEADROOM..]);
    buffer[0] = VERSION;
    buffer[1..IV_START].copy_from_slice(&key.id.0);
    buffer[IV_START..HEADROOM].copy_from_slice(&iv);
    apply_keystream(key, iv, &mut buffer[HEADROOM..]);
    let tag = mac(key, aad, &buffer[IV_START..]).finalize().into_bytes();
    buffer.extend_from_slice(&tag);
}

/// Opens a token: length and base64 → version → key → tag → decryption, in that order.
pub(crate) fn open(keys: &Keys, aad: &[u8], token: &[u8]) -> Result<Opened, Unsealed> {
    let mut bytes = BASE64URL
        .decode_to_vec(token)
        .map_err(|_| Unsealed::Garbage)?;
    if bytes.len() < OVERHEAD {
        return Err(Unsealed::Garbage);
    }
    if bytes[0] != VERSION {
        return Err(Unsealed::Version);
    }
    let id = KeyId(
        bytes[1..IV_START]
            .try_into()
            .expect("that is the id's length"),
    );
    let mut reason = Unsealed::UnknownKey;
    for (age, key) in keys.by_id(id) {
        let (sealed, tag) = bytes
            .split_last_chunk_mut::<TAG_LEN>()
            .expect("the length was checked");
        if mac(key, aad, &sealed[IV_START..])
            .verify(&(*tag).into())
            .is_ok()
        {
            let iv = sealed[IV_START..HEADROOM]
                .try_into()
                .expect("that is the IV's length");
            apply_keystream(key, iv, &mut sealed[HEADROOM..]);
            return Ok(Opened { bytes, age });
        }
        reason = Unsealed::Forged;
    }
    Err(reason)
}

/// Appends the token's text to `out`.
pub(crate) fn append_text(sealed: &[u8], out: &mut Vec<u8>) {
    BASE64URL.encode_append(sealed, out);
}

/// `HMAC-SHA-256(K_mac, AAD ‖ IV ‖ C ‖ be64(8·|AAD|))`, not yet finished.
fn mac(key: &Key, aad: &[u8], iv_and_ciphertext: &[u8]) -> Hmac<Sha256> {
    let bits = 8 * aad.len() as u64;
    let mut mac = key.mac.clone();
    update_unless_empty(&mut mac, aad);
    mac.update(iv_and_ciphertext);
    mac.update(&bits.to_be_bytes());
    mac
}

/// `HMAC-SHA-256(K_iv, R ‖ be64(|AAD|) ‖ AAD ‖ P)[..16]`
fn hedged_iv(key: &Key, aad: &[u8], random: &[u8; RANDOM_LEN], plaintext: &[u8]) -> [u8; IV_LEN] {
    let mut random_and_len = [0; RANDOM_LEN + 8];
    random_and_len[..RANDOM_LEN].copy_from_slice(random);
    random_and_len[RANDOM_LEN..].copy_from_slice(&(aad.len() as u64).to_be_bytes());
    let mut mac = key.iv.clone();
    mac.update(&random_and_len);
    update_unless_empty(&mut mac, aad);
    mac.update(plaintext);
    let hash = mac.finalize().into_bytes();
    hash[..IV_LEN]
        .try_into()
        .expect("a hash is longer than an IV")
}

/// A cookie has no AAD, and a step of nothing is not free.
fn update_unless_empty(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    if !bytes.is_empty() {
        mac.update(bytes);
    }
}

/// `AES-256-CTR(K_enc, initial counter block = IV) ⊕ data`, its own inverse.
fn apply_keystream(key: &Key, iv: [u8; IV_LEN], data: &mut [u8]) {
    let core = CtrCore::<_, Ctr128BE>::inner_iv_init(&key.enc, &iv.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}
