//! What a fuzzer throws at this crate, and what has to hold: one function a target, called by `fuzz/` and, with the
//! corpora, by the tests.
