//! [`SessionLayer`] and its builder.

mod builder;
mod check;
mod companion;
mod constructors;
mod error;
#[cfg(feature = "starlette")]
mod legacy;
mod login_page;
mod old_id_settings;
#[cfg(feature = "store")]
mod old_ids;
mod open;
#[cfg(feature = "check")]
mod owner_check;
mod owner_settings;
#[cfg(feature = "store")]
mod owners;
#[cfg(feature = "store")]
mod revocations;
mod session_layer;
#[cfg(feature = "starlette")]
mod signed;
mod storage;
#[cfg(feature = "store")]
mod stores;

#[cfg(feature = "store")]
pub use self::owners::OwnedSession;
#[cfg(feature = "starlette")]
pub use self::signed::SignedSessionLayer;
pub use self::{builder::SessionLayerBuilder, error::ConfigError, session_layer::SessionLayer};
