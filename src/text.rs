//! Base64, by AVX2 or NEON if the processor has it, which is detected once.
//!
//! The decoders accept only what the encoders return: no other characters, no unused bits that are
//! set, and padding only with [`STANDARD`], where it is required.

#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
pub(crate) use self::vector::{STANDARD, URL_SAFE_NO_PAD};
// `base64` has no vector code for other processors
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
)))]
pub(crate) use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
mod vector {
    use std::sync::LazyLock;

    use base64::engine::{
        Simd,
        general_purpose::{NO_PAD, PAD},
    };

    pub(crate) static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
    pub(crate) static URL_SAFE_NO_PAD: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));
}
