//! Guides: longer explanations, one question each.

/// How do I change what a session holds between two releases of my app?
#[doc = include_str!("shape.md")]
pub mod shape {}

/// How does Starlette compare, and how do I move from it or FastAPI without logging anyone out?
#[doc = include_str!("starlette.md")]
#[cfg_attr(feature = "starlette", doc = include_str!("starlette_move.md"))]
pub mod starlette {}

/// The cookie is too small, or logout must be final: how do I move to a store, and back?
#[cfg(feature = "store")]
#[doc = include_str!("stores.md")]
pub mod stores {}

/// My app keeps its sessions in a JSON file: how do I move them to a store, and clean up?
#[cfg(feature = "store")]
#[doc = include_str!("from_a_file.md")]
pub mod from_a_file {}

/// Which store, how does an app move to it, and what does it cost?
#[cfg(feature = "store")]
#[doc = include_str!("outgrowing.md")]
pub mod outgrowing {}

/// How is a logout final while sessions are in cookies?
#[cfg(feature = "store")]
#[doc = include_str!("revoking.md")]
pub mod revoking {}

/// What is promised, what is not promised, and what do I have to do?
#[doc = include_str!("security.md")]
pub mod security {}

/// Which events are there, and which need attention?
#[doc = include_str!("events.md")]
pub mod events {}
