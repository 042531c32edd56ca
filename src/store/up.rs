//! Whether this process is connected to its stores: the metrics `session_store_up` and
//! `session_store_reconnects_total`.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::metrics::{Metric, Metrics};

/// The number of lost connections by kind of store. A process may have several stores of a kind.
static LOST: LazyLock<Mutex<HashMap<&'static str, usize>>> = LazyLock::new(Mutex::default);

/// One connection to a server of that kind.
pub(super) struct Up {
    kind: &'static str,
    is_up: AtomicBool,
    metrics: Metrics,
}

impl Up {
    /// A connection that is up.
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            is_up: AtomicBool::new(true),
            metrics: Metrics::of_store(kind),
        }
    }

    /// Notes whether there is a connection.
    pub(super) fn note(&self, up: bool) {
        self.change(up);
        self.tell();
    }

    /// Sets the gauge again. An app may have installed its recorder since.
    pub(super) fn tell(&self) {
        let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match lost.get(self.kind) {
            None | Some(0) => 1.0,
            Some(_) => 0.0,
        };
        self.metrics.set(Metric::StoreUp, &[], all);
    }

    fn change(&self, up: bool) {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = lost.entry(self.kind).or_default();
        match (self.is_up.swap(up, Ordering::Relaxed), up) {
            (true, false) => *lost += 1,
            (false, true) => {
                *lost -= 1;
                self.metrics.count(Metric::StoreReconnects, &[], 1);
            }
            (false, false) | (true, true) => {}
        }
    }
}

/// A connection that nobody needs any more is not a lost one.
impl Drop for Up {
    fn drop(&mut self) {
        if !*self.is_up.get_mut() {
            let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
            *lost.entry(self.kind).or_default() -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(kind: &str) -> usize {
        LOST.lock()
            .expect("no panic")
            .get(kind)
            .copied()
            .unwrap_or(0)
    }

    #[test]
    fn a_connection_counts_as_lost_until_it_is_back_or_not_needed() {
        let (first, second) = (Up::new("of this test"), Up::new("of this test"));
        first.note(true);
        assert_eq!(lost("of this test"), 0);
        first.note(false);
        first.note(false);
        second.note(false);
        assert_eq!(lost("of this test"), 2);
        first.note(true);
        assert_eq!(lost("of this test"), 1);
        drop((first, second));
        assert_eq!(lost("of this test"), 0);
    }
}
