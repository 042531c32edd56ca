//! The session cookie in HTTP headers. This module uses neither axum nor cryptography.

pub(crate) mod cache;
mod name;
pub(crate) mod scan;
mod template;

pub use self::name::Prefix;
pub(crate) use self::{
    name::CookieName,
    template::{Attributes, MAX_PAIR, Template},
};
