//! Guides: longer explanations, one question each.

/// How do I change what a session holds between two releases of my app?
pub mod shape {
    #![doc = include_str!("shape.md")]
}

/// How does Starlette compare, and how do I move from it or FastAPI without logging anyone out?
pub mod starlette {
    #![doc = include_str!("starlette.md")]
    #![cfg_attr(feature = "starlette", doc = include_str!("starlette_move.md"))]
    #![cfg_attr(
        not(feature = "starlette"),
        doc = "# Moving without logging anyone out\n\nThis needs the feature `starlette`, which also adds the rest of this page."
    )]
}

/// The cookie is too small, or logout must be final: how do I move to a store, and back?
#[cfg(feature = "store")]
pub mod stores {
    #![doc = include_str!("stores.md")]
}

/// What is promised, what is not promised, and what do I have to do?
pub mod security {
    #![doc = include_str!("security.md")]
}

/// Which events are there, and which need attention?
pub mod events {
    #![doc = include_str!("events.md")]
}
