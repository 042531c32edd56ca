//! Metrics of sessions and stores, through the `metrics` facade.
//!
//! Without the feature `metrics`, [`Metrics`] has the same methods, and none of them does anything.

#[cfg(not(feature = "metrics"))]
mod disabled;
#[cfg(feature = "metrics")]
mod enabled;
mod metric;
mod mode;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::disabled::{Metrics, Timer};
#[cfg(feature = "metrics")]
pub use self::enabled::buckets;
#[cfg(feature = "metrics")]
pub(crate) use self::enabled::{Metrics, Timer};
pub(crate) use self::{metric::Metric, mode::Mode};
