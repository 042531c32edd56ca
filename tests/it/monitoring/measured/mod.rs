//! What the metrics say, next to what happened.

mod accounting;
mod first_use;
mod gauges;
mod labels;
mod recorder;
