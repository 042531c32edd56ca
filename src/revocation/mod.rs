//! Sessions that ended although their cookies have not expired: in this process a short time ago,
//! and, with a log that all instances read, anywhere.

mod ended;
mod log;
mod set;

#[cfg(feature = "store")]
pub use self::log::Revocations;
#[cfg(not(feature = "store"))]
pub(crate) use self::log::Revocations;
pub(crate) use self::{
    ended::{Ended, EndedSessions, Flight, IN_FLIGHT, Why},
    set::Set,
};
