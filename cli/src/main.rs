//! The command line of tower-sealed-session.

mod scan;

fn main() {}
