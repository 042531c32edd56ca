//! The list of contestants.

#[path = "../../contestants/mod.rs"]
pub mod contestants;
mod peers;

use contestants::{
    Contestant,
    floor::FLOOR,
    limit::{HEDGED, LIMIT},
    ours::OURS,
};

pub const CONTESTANTS: [Contestant; 9] = [
    FLOOR,
    LIMIT,
    HEDGED,
    OURS,
    peers::SESHCOOKIE,
    peers::COOKIE_STORE,
    peers::AXUM_EXTRA,
    peers::TOWER_SESSIONS,
    peers::AXUM_SESSION,
];
