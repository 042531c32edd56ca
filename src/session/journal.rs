//! The changes of entries that a request made. They can be replayed on the state that another
//! request saved.
//!
//! They are operations, not differences. If `clear` were stored as a difference, it would not
//! remove an entry that another request added.

use std::sync::Arc;

use crate::{
    entries::{Entries, Merge, Splice},
    error::Error,
};

/// One change of entries.
pub(crate) enum Op {
    Set(Box<str>, Vec<u8>),
    Remove(Box<str>),
    /// Computes the new value from the present one.
    Update(Box<str>, Box<Compute>),
    /// Sets and removes several entries.
    SetAll(Vec<(Box<str>, Option<Vec<u8>>)>),
    Clear,
}

impl Op {
    pub(super) fn set_all<'a>(
        values: impl Iterator<Item = &'a (&'a str, Option<&'a [u8]>)>,
    ) -> Self {
        let owned = values.map(|(key, value)| ((*key).into(), value.map(<[u8]>::to_vec)));
        Self::SetAll(owned.collect())
    }
}

type Compute = dyn Fn(Option<&[u8]>) -> Result<Vec<u8>, Error> + Send + Sync;

/// Applies changes to entries. This runs code of the user.
pub(super) fn replay(ops: &[Arc<Op>], entries: Entries<'_>) -> Result<Vec<u8>, Error> {
    let mut bytes = entries.as_bytes().to_vec();
    for op in ops {
        let entries = Entries::trusted(&bytes);
        bytes = match &**op {
            Op::Set(key, value) => Splice::new(entries, key, Some(value)).apply(),
            Op::Remove(key) => Splice::new(entries, key, None).apply(),
            Op::Update(key, compute) => {
                let value = compute(entries.get(key))?;
                Splice::new(entries, key, Some(&value)).apply()
            }
            Op::SetAll(values) => {
                let values = values.iter().map(|(key, value)| (&**key, value.as_deref()));
                Merge::new(entries, values.collect()).apply()
            }
            Op::Clear => Vec::new(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pairs: &[(&str, &str)]) -> Vec<u8> {
        let values = pairs.iter().map(|(k, v)| (*k, Some(v.as_bytes())));
        Merge::new(Entries::default(), values.collect()).apply()
    }

    fn after(ops: Vec<Op>, before: &[(&str, &str)]) -> Vec<u8> {
        let ops: Vec<_> = ops.into_iter().map(Arc::new).collect();
        replay(&ops, Entries::trusted(&bytes(before))).expect("it applies")
    }

    #[test]
    fn changes_of_other_keys_stay_and_clear_removes_all() {
        let set = || Op::Set("a".into(), b"1".to_vec());
        assert_eq!(
            after(vec![set()], &[("b", "2")]),
            bytes(&[("a", "1"), ("b", "2")])
        );
        assert_eq!(
            after(vec![Op::Clear, set()], &[("b", "2")]),
            bytes(&[("a", "1")])
        );
        assert_eq!(
            after(vec![set(), Op::Remove("a".into())], &[("a", "0")]),
            b""
        );
        let all = Op::SetAll(vec![("a".into(), Some(b"1".to_vec())), ("b".into(), None)]);
        assert_eq!(
            after(vec![all], &[("b", "2"), ("c", "3")]),
            bytes(&[("a", "1"), ("c", "3")])
        );
    }

    #[test]
    fn an_update_is_computed_again_from_the_present_value() {
        let push = |value: Option<&[u8]>| Ok([value.unwrap_or_default(), &b"x"[..]].concat());
        let ops = || vec![Op::Update("a".into(), Box::new(push))];
        assert_eq!(after(ops(), &[("a", "yy")]), bytes(&[("a", "yyx")]));
        assert_eq!(after(ops(), &[]), bytes(&[("a", "x")]));
    }
}
