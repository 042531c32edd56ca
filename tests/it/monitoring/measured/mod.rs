//! What the metrics say, next to what happened.

mod accounting;
mod gauges;
mod labels;
mod recorder;
