//! Sessions in stores: what the layer makes of them, and what each store keeps to.

mod backend;
mod conformance;
mod finality;
mod modes;
mod redis_server;
mod trips;
mod writes;
