//! The longer explanations.

pub mod shape {}
pub mod security {}
