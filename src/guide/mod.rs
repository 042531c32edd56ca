//! Longer explanations, by question.

/// How do I change what a session holds between two releases of my app?
pub mod shape {
    #![doc = include_str!("shape.md")]
}

/// I come from Starlette or FastAPI: what is what, and how do I come without logging anyone out?
pub mod starlette {
    #![doc = include_str!("starlette.md")]
    #![cfg_attr(feature = "starlette", doc = include_str!("starlette_move.md"))]
    #![cfg_attr(
        not(feature = "starlette"),
        doc = "# Coming over without logging anyone out\n\nThe feature `starlette` brings it, and the rest of this page."
    )]
}

/// The cookie has become too small, or logout has to be final: how do I move to a store, and back?
#[cfg(feature = "store")]
pub mod stores {
    #![doc = include_str!("stores.md")]
}

/// What is promised, what is not, and what is left to me?
pub mod security {
    #![doc = include_str!("security.md")]
}

/// What do the events say, and which should wake me up?
pub mod events {
    #![doc = include_str!("events.md")]
}
