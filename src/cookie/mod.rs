//! The session's cookie on the wire. Knows neither axum nor crypto.

pub(crate) mod cache;
mod name;
pub(crate) mod scan;
mod template;

pub use self::name::Prefix;
pub(crate) use self::{
    name::CookieName,
    template::{Attributes, MAX_PAIR, Template},
};
