//! Properties that hold for all inputs. Many compare the crate with a slow and simple model.

mod cookie;
mod expiry;
mod record;
mod seal;
mod secret;

use proptest::{collection::vec, prelude::*, test_runner::Config};

/// 1024 cases for each property, or the number in `PROPTEST_CASES`.
fn config() -> Config {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: wanted.map_or(1024, |cases| cases.parse().expect("a number")),
        failure_persistence: None,
        ..Config::default()
    }
}

fn bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

/// Text of 1 to 255 bytes. Some characters have several bytes.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,3}",
        2 => "\\PC{1,60}",
        1 => "[a\u{e9}\u{0}]{80,127}",
        1 => Just("k".repeat(255)),
    ]
}
