//! What the metrics say, next to what happened.

mod accounting;
mod labels;
mod recorder;
