//! Tests of the behaviour through the public API.

mod bad_input;
mod browser;
mod caching;
#[cfg(all(
    feature = "conformance",
    feature = "memory",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite",
    feature = "tools"
))]
mod cli;
mod clients;
mod clock;
#[cfg(feature = "starlette")]
mod compat;
mod config;
mod cost;
mod failures;
mod http_client;
mod lifetimes;
mod logout;
mod monitoring;
mod nesting;
mod nginx;
#[cfg(all(feature = "memory", feature = "tools"))]
mod old_ids;
mod owners;
mod passive;
mod processes;
#[path = "../python/mod.rs"]
mod python;
mod races;
mod recent_login;
#[cfg(feature = "memory")]
mod revocations;
mod round_trip;
mod secrets;
mod set_cookie;
mod shape;
mod shared_cache;
mod shop;
mod sizes;
mod starlette;
#[cfg(all(
    feature = "conformance",
    feature = "memory",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod stores;
mod support;
mod tink;
#[cfg(all(feature = "memory", feature = "tools"))]
mod tools;
mod unknown_keys;
mod view;
