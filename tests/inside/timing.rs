//! The time to reject a token must not depend on which byte of its tag is wrong.
//!
//! The method is that of dudect (Reparaz, Balasch, Verbauwhede 2017): two classes in random order,
//! compared with Welch's t-test. The result depends on the machine, so only `.ci/nightly timing`
//! runs this test.

use std::{cell::RefCell, hint::black_box, time::Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    key::{Context, KeyRing, Purpose, Secret},
    seal::{self, HEADROOM},
};

const SAMPLES: usize = 2_000_000;

/// Mean and variance, updated with each sample (Welford's algorithm).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, sample: f64) {
        self.count += 1.0;
        let delta = sample - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (sample - self.mean);
    }

    /// The squared standard error of the mean.
    fn squared_error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// The largest |t| of the two classes.
///
/// Only `reject` is timed, not `prepare`. The slowest samples are dropped at several percentiles,
/// because they contain interruptions.
fn largest_t(mut prepare: impl FnMut(bool), mut reject: impl FnMut()) -> f64 {
    let mut rng = StdRng::seed_from_u64(1);
    let samples: Vec<(bool, u32)> = (0..SAMPLES)
        .map(|_| {
            let class = rng.random();
            prepare(class);
            let start = Instant::now();
            reject();
            (
                class,
                u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX),
            )
        })
        .collect();
    let mut sorted: Vec<u32> = samples.iter().map(|(_, nanos)| *nanos).collect();
    sorted.sort_unstable();
    let t = |percent: usize| {
        let limit = sorted[(SAMPLES - 1) * percent / 100];
        let mut classes = [Moments::default(), Moments::default()];
        for (class, nanos) in samples.iter().filter(|(_, nanos)| *nanos <= limit) {
            classes[usize::from(*class)].add(f64::from(*nanos));
        }
        let [a, b] = classes;
        ((a.mean - b.mean) / (a.squared_error() + b.squared_error()).sqrt()).abs()
    };
    [50, 75, 90, 95, 99].map(t).into_iter().fold(0.0, f64::max)
}

#[test]
#[ignore = "measures time: run .ci/nightly timing"]
fn rejection_time_does_not_depend_on_the_position_of_the_wrong_byte() {
    let ring = |n| {
        let secret = Secret::unchecked(&format!("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXw{n:03}"));
        KeyRing::new(secret).derive(Context {
            purpose: Purpose::COOKIE,
            cookie_name: "__Host-Http-session",
            audience: "",
        })
    };
    let keys = ring(1);
    let bytes = vec![7; HEADROOM + 96];
    let bytes = seal::seal(keys.current(), b"", &[7; 32], bytes);
    let corrupted = |at: usize| {
        let (mut bytes, mut text) = (bytes.to_vec(), Vec::new());
        let at = bytes.len() - 32 + at;
        bytes[at] ^= 1;
        seal::append_text(&bytes, &mut text);
        text
    };
    // both classes use one buffer, so that its address makes no difference
    let (first, last) = (corrupted(0), corrupted(31));
    let token = RefCell::new(first.clone());
    let wrong = largest_t(
        |class| {
            token
                .borrow_mut()
                .copy_from_slice(if class { &first } else { &last })
        },
        || {
            let token = token.borrow();
            assert!(black_box(seal::open(&keys, b"", black_box(&token))).is_err());
        },
    );
    // the test must detect a comparison that stops at the first difference
    let (mut a, mut b) = ([7; 32], [7; 32]);
    (a[0], b[31]) = (0, 0);
    let tag = RefCell::new(a);
    let naive = largest_t(
        |class| *tag.borrow_mut() = if class { a } else { b },
        || {
            let tag = tag.borrow();
            for _ in 0..4 {
                let same = tag.iter().all(|byte| black_box(*byte) == black_box(7));
                assert!(!same);
            }
        },
    );
    println!("largest |t| over {SAMPLES} samples: tag {wrong:.2}, naive comparison {naive:.2}");
    assert!(
        naive > 10.0,
        "the clock is too coarse to detect a difference"
    );
    assert!(
        wrong < 4.5,
        "the rejection time depends on the position of the wrong byte"
    );
}
