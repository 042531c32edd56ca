//! Behaviour through the public API.

mod bad_input;
mod caching;
mod cost;
mod failures;
mod lifetimes;
mod nesting;
mod processes;
mod races;
mod secrets;
mod sizes;
mod starlette;
mod support;
