//! Behaviour through the public API.

mod support;
