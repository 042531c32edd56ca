//! The peers, used as in their documentation, with `Path=/; HttpOnly; Secure; SameSite=Lax`.

mod axum_extra;
mod axum_session;
mod cookie_store;
mod seshcookie;
mod tower_sessions;

pub use self::{
    axum_extra::AXUM_EXTRA, axum_session::AXUM_SESSION, cookie_store::COOKIE_STORE,
    seshcookie::SESHCOOKIE, tower_sessions::TOWER_SESSIONS,
};
