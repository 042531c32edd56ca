//! Sources of random bytes. Both fail closed.

use std::cell::RefCell;

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::error::Error;

/// The number of bytes that are drawn from the system at once: those of 32 ids.
const POOL_LEN: usize = 512;

thread_local! {
    static GENERATOR: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_LEN], left: 0 }) };
}

/// The random sources of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Sources {
    /// For session ids.
    pub(crate) ids: fn(&mut [u8]) -> Result<(), Error>,
    /// For IVs, which also depend on the record and a key.
    pub(crate) hedge: fn(&mut [u8]) -> Result<(), Error>,
}

impl Sources {
    pub(crate) const DEFAULT: Self = Self {
        ids: from_pool,
        hedge: from_thread,
    };
}

/// Bytes from the operating system.
struct Pool {
    bytes: [u8; POOL_LEN],
    /// The number of bytes that are not drawn yet, at the front. The others are zero.
    left: usize,
}

/// Between half of `pause` and all of it, so that instances do not do something at the same time.
#[cfg(feature = "store")]
pub(crate) fn jitter(pause: std::time::Duration) -> std::time::Duration {
    let mut byte = [0];
    // without random bytes, the pause is not shortened
    let _ = from_thread(&mut byte);
    pause - pause / 2 * u32::from(byte[0]) / 255
}

/// Fills `bytes`, the length of an id, from the operating system. It is asked for 32 ids at once,
/// since a call costs as much as a seal.
///
/// Processes that share a pool (after a fork, or from a restored snapshot) draw the same ids. That
/// is harmless: an id gives no access, ended sessions are named by their beginning too, and a
/// store does not create a second row with the same id.
pub(crate) fn from_pool(bytes: &mut [u8]) -> Result<(), Error> {
    POOL.with_borrow_mut(|pool| {
        if pool.left < bytes.len() {
            from_system(&mut pool.bytes)?;
            pool.left = POOL_LEN;
        }
        let end = pool.left;
        pool.left -= bytes.len();
        let drawn = &mut pool.bytes[pool.left..end];
        bytes.copy_from_slice(drawn);
        drawn.fill(0);
        Ok(())
    })
}

/// Fills `bytes` from the operating system, in one call.
pub(crate) fn from_system(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(Error::entropy)
}

/// Fills `bytes` from a generator of this thread, which the system seeds on first use.
///
/// The bytes hedge the IV. A system call would cost as much as a whole seal. Processes that share
/// a generator's state (after a fork, or from a restored snapshot) draw the same bytes. The IV also
/// depends on the record, so at worst equal records have equal tokens.
pub(crate) fn from_thread(bytes: &mut [u8]) -> Result<(), Error> {
    GENERATOR.with_borrow_mut(|slot| {
        let generator = match slot {
            Some(generator) => generator,
            None => {
                let mut seed = zeroize::Zeroizing::new([0; 32]);
                from_system(seed.as_mut())?;
                slot.insert(StdRng::from_seed(*seed))
            }
        };
        generator.fill_bytes(bytes);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn draws_differ_within_and_across_threads() {
        for source in [from_thread, from_pool] {
            let draws = move || {
                let draws = (0..100).map(|_| {
                    let mut bytes = [0; 16];
                    source(&mut bytes).expect("entropy");
                    bytes
                });
                draws.collect::<Vec<_>>()
            };
            let there = std::thread::spawn(draws).join().expect("no panic");
            let all: HashSet<_> = draws().into_iter().chain(there).collect();
            assert_eq!(all.len(), 200);
            assert!(!all.contains(&[0; 16]));
        }
    }

    #[test]
    fn the_pool_does_not_keep_what_was_drawn() {
        let mut bytes = [0; 16];
        from_pool(&mut bytes).expect("entropy");
        POOL.with_borrow(|pool| {
            assert_eq!(pool.left % 16, 0);
            assert!(pool.bytes[pool.left..].iter().all(|&byte| byte == 0));
            let next = pool.bytes[..pool.left].chunks(16);
            assert!(next.clone().all(|next| next != bytes && next != [0; 16]));
        });
    }
}
