//! The changes of entries that a request made. They can be replayed on the state that another
//! request saved.
//!
//! They are operations, not differences. If `clear` were stored as a difference, it would not
//! remove an entry that another request added. Operations on one key are merged into one.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    entries::{Entries, Merge},
    error::Error,
};

/// Computes the value of an entry from its present one. This runs code of the user.
pub(super) type Compute = dyn Fn(Option<&[u8]>) -> Result<Vec<u8>, Error> + Send + Sync;

/// Changes of entries.
#[derive(Clone, Default)]
pub(super) struct Journal {
    /// Whether all entries were removed before the operations.
    cleared: bool,
    ops: BTreeMap<Box<str>, Op>,
    /// The number of changes so far, with those that later ones replaced.
    count: usize,
}

/// The operation on one entry.
#[derive(Clone)]
struct Op {
    start: Start,
    /// Functions that are applied one after the other.
    updates: Vec<Arc<Compute>>,
}

#[derive(Clone)]
enum Start {
    /// The value that the entry has when the operation is replayed.
    Present,
    /// A given value, or none.
    Set(Option<Vec<u8>>),
}

impl Journal {
    /// The number of changes so far. It shows whether there were changes in the meantime.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Notes that an entry was set or removed.
    pub(super) fn set(&mut self, key: &str, value: Option<Vec<u8>>) {
        self.count += 1;
        let op = Op {
            start: Start::Set(value),
            updates: Vec::new(),
        };
        self.ops.insert(key.into(), op);
    }

    /// Notes that `compute` was applied to an entry. The result was `value`.
    pub(super) fn update(&mut self, key: &str, compute: Arc<Compute>, value: Option<Vec<u8>>) {
        match self.ops.get_mut(key) {
            Some(op) if matches!(op.start, Start::Present) => {
                self.count += 1;
                op.updates.push(compute);
            }
            None if !self.cleared => {
                self.count += 1;
                let op = Op {
                    start: Start::Present,
                    updates: vec![compute],
                };
                self.ops.insert(key.into(), op);
            }
            // the result does not depend on what another request saves
            _ => self.set(key, value),
        }
    }

    /// Notes that all entries were removed.
    pub(super) fn clear(&mut self) {
        self.count += 1;
        self.cleared = true;
        self.ops.clear();
    }

    /// Adds later changes.
    pub(super) fn extend(&mut self, later: Self) {
        if self.count == 0 {
            *self = later;
            return;
        }
        self.count += later.count;
        if later.cleared {
            self.cleared = true;
            self.ops.clear();
        }
        for (key, op) in later.ops {
            match self.ops.get_mut(&key) {
                Some(before) if matches!(op.start, Start::Present) => {
                    before.updates.extend(op.updates);
                }
                _ => drop(self.ops.insert(key, op)),
            }
        }
    }

    /// Applies the changes to entries. This runs code of the user.
    pub(super) fn replay(&self, entries: Entries<'_>) -> Result<Vec<u8>, Error> {
        let base = self.base(entries);
        let values = self
            .ops
            .iter()
            .map(|(key, op)| Ok((&**key, op.value(base, key)?)));
        Ok(apply(base, &values.collect::<Result<Vec<_>, Error>>()?))
    }

    /// Like [`replay`](Self::replay), but leaves out the operations that fail.
    pub(super) fn replay_possible(&self, entries: Entries<'_>) -> Vec<u8> {
        let base = self.base(entries);
        let ops = self.ops.iter();
        let values = ops.filter_map(|(key, op)| Some((&**key, op.value(base, key).ok()?)));
        apply(base, &values.collect::<Vec<_>>())
    }

    fn base<'a>(&self, entries: Entries<'a>) -> Entries<'a> {
        match self.cleared {
            true => Entries::default(),
            false => entries,
        }
    }
}

impl Op {
    fn value(&self, entries: Entries<'_>, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let start = match &self.start {
            Start::Present => entries.get(key).map(<[u8]>::to_vec),
            Start::Set(value) => value.clone(),
        };
        let mut updates = self.updates.iter();
        updates.try_fold(start, |value, compute| compute(value.as_deref()).map(Some))
    }
}

fn apply(base: Entries<'_>, values: &[(&str, Option<Vec<u8>>)]) -> Vec<u8> {
    let values = values.iter().map(|(key, value)| (*key, value.as_deref()));
    Merge::new(base, values.collect()).apply()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn bytes(pairs: &[(&str, &str)]) -> Vec<u8> {
        let values = pairs.iter().map(|(k, v)| (*k, Some(v.as_bytes())));
        Merge::new(Entries::default(), values.collect()).apply()
    }

    fn journal(write: impl FnOnce(&mut Journal)) -> Journal {
        let mut journal = Journal::default();
        write(&mut journal);
        journal
    }

    fn after(journal: &Journal, before: &[(&str, &str)]) -> Vec<u8> {
        let before = bytes(before);
        let replayed = journal
            .replay(Entries::trusted(&before))
            .expect("it applies");
        assert_eq!(journal.replay_possible(Entries::trusted(&before)), replayed);
        replayed
    }

    fn set(journal: &mut Journal, key: &str, value: &str) {
        journal.set(key, Some(value.into()));
    }

    fn push(journal: &mut Journal, key: &str, added: &'static str) {
        let compute =
            move |value: Option<&[u8]>| Ok([value.unwrap_or_default(), added.as_bytes()].concat());
        journal.update(key, Arc::new(compute), Some(b"known".to_vec()));
    }

    #[test]
    fn changes_of_other_keys_stay_and_clear_removes_all() {
        let set_a = journal(|j| set(j, "a", "1"));
        assert_eq!(
            after(&set_a, &[("b", "2")]),
            bytes(&[("a", "1"), ("b", "2")])
        );

        let clear_first = journal(|j| {
            set(j, "c", "3");
            j.clear();
            set(j, "a", "1");
        });
        assert_eq!(after(&clear_first, &[("b", "2")]), bytes(&[("a", "1")]));

        let remove_a = journal(|j| {
            set(j, "a", "1");
            j.set("a", None);
        });
        assert_eq!(
            after(&remove_a, &[("a", "0"), ("b", "2")]),
            bytes(&[("b", "2")])
        );
    }

    #[test]
    fn an_update_is_computed_again_from_the_present_value() {
        let update = journal(|j| push(j, "a", "x"));
        assert_eq!(after(&update, &[("a", "yy")]), bytes(&[("a", "yyx")]));
        assert_eq!(after(&update, &[]), bytes(&[("a", "x")]));

        let twice = journal(|j| {
            push(j, "a", "x");
            push(j, "a", "z");
        });
        assert_eq!(after(&twice, &[("a", "yy")]), bytes(&[("a", "yyxz")]));
    }

    /// The value after `insert` or `clear` does not depend on what another request saves.
    #[test]
    fn an_update_of_a_known_value_is_not_computed_again() {
        let after_set = journal(|j| {
            set(j, "a", "1");
            push(j, "a", "x");
        });
        assert_eq!(after(&after_set, &[("a", "yy")]), bytes(&[("a", "known")]));
        let after_clear = journal(|j| {
            j.clear();
            push(j, "a", "x");
        });
        assert_eq!(
            after(&after_clear, &[("a", "yy")]),
            bytes(&[("a", "known")])
        );
    }

    #[test]
    fn later_changes_follow_earlier_ones() {
        let writes: [fn(&mut Journal); 5] = [
            |j| set(j, "a", "1"),
            |j| push(j, "a", "x"),
            |j| j.set("a", None),
            |j| j.clear(),
            |j| push(j, "b", "y"),
        ];
        for first in writes {
            for second in writes {
                let mut extended = journal(first);
                extended.extend(journal(second));
                let base = bytes(&[("a", "0"), ("b", "0")]);
                let between = journal(first)
                    .replay(Entries::trusted(&base))
                    .expect("it applies");
                let wanted = journal(second).replay(Entries::trusted(&between));
                assert_eq!(
                    extended
                        .replay(Entries::trusted(&base))
                        .expect("it applies"),
                    wanted.expect("it applies")
                );
                assert_eq!(extended.count(), 2);
            }
        }
    }

    #[test]
    fn operations_on_one_key_are_merged() {
        let many = journal(|j| {
            for n in 0..1000 {
                set(j, "a", &n.to_string());
            }
        });
        assert_eq!((many.ops.len(), many.count()), (1, 1000));
        let updates = journal(|j| {
            for _ in 0..3 {
                push(j, "a", "x");
            }
        });
        assert_eq!((updates.ops.len(), updates.count()), (1, 3));
    }

    #[test]
    fn an_update_that_fails_fails_the_replay_or_is_left_out() {
        let failing = journal(|j| {
            set(j, "a", "1");
            let fails = |_: Option<&[u8]>| Err(ErrorKind::WrongType.into());
            j.update("b", Arc::new(fails), None);
        });
        let before = bytes(&[("b", "2")]);
        let entries = Entries::trusted(&before);
        assert_eq!(
            failing.replay(entries).map_err(|error| error.kind()),
            Err(ErrorKind::WrongType)
        );
        assert_eq!(
            failing.replay_possible(entries),
            bytes(&[("a", "1"), ("b", "2")])
        );
    }
}
