//! Sessions in stores: what the layer makes of them, and what each store keeps to.

mod backend;
mod finality;
mod modes;
mod trips;
mod writes;
