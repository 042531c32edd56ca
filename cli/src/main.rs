//! The command line of `tower-sealed-session`.

#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that read a file come next"
)]
mod file;

fn main() {}
