//! The primitives as this crate calls them, against the answers of their standards.
