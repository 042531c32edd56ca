use hmac::{
    KeyInit as _,
    block_api::HmacCore,
    digest::{
        CtOutput, Output,
        block_api::{Buffer, FixedOutputCore as _, UpdateCore as _},
    },
};
use sha2::Sha256;

type Core = HmacCore<Sha256>;

/// An HMAC-SHA-256 key, ready for use.
///
/// It hashes whole blocks directly. `hmac::Mac` copies each part, and a short message takes a
/// quarter longer.
pub(crate) struct HmacKey(Core);

impl HmacKey {
    pub(crate) const HASH_LEN: usize = 32;

    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Core::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The hash of the concatenated parts.
    #[inline]
    pub(crate) fn hash<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; Self::HASH_LEN] {
        self.output(parts).into()
    }

    /// Whether `hash` is the hash of the concatenated parts. Compares in constant time.
    #[inline]
    pub(crate) fn verify<const N: usize>(
        &self,
        parts: [&[u8]; N],
        hash: [u8; Self::HASH_LEN],
    ) -> bool {
        CtOutput::<Core>::new(self.output(parts)) == CtOutput::new(hash.into())
    }

    #[inline(always)] // see `seal::open`
    fn output<const N: usize>(&self, parts: [&[u8]; N]) -> Output<Core> {
        let (mut core, mut buffer) = (self.0.clone(), Buffer::<Core>::default());
        for part in parts {
            buffer.digest_blocks(part, |blocks| core.update_blocks(blocks));
        }
        let mut hash = Output::<Core>::default();
        core.finalize_fixed_core(&mut buffer, &mut hash);
        hash
    }
}
