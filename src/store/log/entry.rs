use std::fmt;

use crate::clock::Millis;

/// One entry of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub(crate) subject: Subject,
    /// When it was added, in seconds since 1970 by the clock of the instance that did.
    pub(crate) at: u32,
    /// From then on, no cookie that it names is valid. In seconds since 1970.
    pub(crate) until: u32,
}

/// What an entry revokes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A session, or one of its ids.
    Session(Name, Revoked),
    /// The sessions of an owner, or all of a layer, that were created before that time.
    Before(Name, Millis),
    /// Nothing: each instance is to add what it holds and the log does not. With a random name.
    Check(Name),
}

/// The name of a session, of one of its ids, of an owner or of a layer: a hash.
///
/// By chance, one of a million entries names another session once in 10^13 looks. Its visitor then
/// has to log in again.
pub(crate) type Name = u64;

/// The key of an entry: a name, and for an owner or a layer the time.
pub(crate) type Key = (Name, Option<Millis>);

/// The bits that are the same in the name of a session and in those of its ids.
pub(crate) const SHARD: Name = 0x3f << 32;

/// Why a session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    LoggedOut,
    /// A login continues it, or it moved to a store.
    Continued,
    /// Only this id cannot be used: `renew` replaced it.
    Renewed,
}

impl Subject {
    /// What it revokes, in metrics. `None`: nothing.
    pub(crate) fn scope(self) -> Option<&'static str> {
        match self {
            Self::Session(_, Revoked::LoggedOut) => Some("logout"),
            Self::Session(_, Revoked::Continued) => Some("login"),
            Self::Session(_, Revoked::Renewed) => Some("renewal"),
            Self::Before(..) => Some("group"),
            Self::Check(_) => None,
        }
    }
}

/// ```text
/// kind u8
/// ‖ name u64 [‖ time u64 ms]
/// ‖ at u32 s ‖ until u32 s
/// ```
///
/// Numbers are big-endian. The middle part is the entry's key.
impl Entry {
    const TIMES: usize = 8;

    /// What makes two entries the same one. They may differ in the rest.
    pub(crate) fn key(&self) -> Key {
        match self.subject {
            Subject::Session(name, _) | Subject::Check(name) => (name, None),
            Subject::Before(name, before) => (name, Some(before)),
        }
    }

    /// The bytes of the [`key`](Self::key).
    pub(crate) fn key_bytes(&self) -> Vec<u8> {
        let (name, before) = self.key();
        let mut bytes = name.to_be_bytes().to_vec();
        bytes.extend(before.map(Millis::to_be_bytes).iter().flatten());
        bytes
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let kind = match self.subject {
            Subject::Session(_, Revoked::LoggedOut) => 1,
            Subject::Session(_, Revoked::Continued) => 2,
            Subject::Session(_, Revoked::Renewed) => 3,
            Subject::Before(..) => 4,
            Subject::Check(_) => 5,
        };
        let times = [self.at.to_be_bytes(), self.until.to_be_bytes()];
        [&[kind], &self.key_bytes()[..], times.as_flattened()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (key, times) = rest.split_at_checked(rest.len().checked_sub(Self::TIMES)?)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let session = |revoked| Some(Subject::Session(number(key)?, revoked));
        let subject = match kind {
            1 => session(Revoked::LoggedOut)?,
            2 => session(Revoked::Continued)?,
            3 => session(Revoked::Renewed)?,
            4 => {
                let (name, before) = key.split_at_checked(8)?;
                Subject::Before(number(name)?, number(before)?)
            }
            5 => Subject::Check(number(key)?),
            _ => return None,
        };
        let (at, until) = times.split_first_chunk()?;
        Some(Self {
            subject,
            at: u32::from_be_bytes(*at),
            until: u32::from_be_bytes(until.try_into().ok()?),
        })
    }
}

/// Seconds since 1970, rounded up.
pub(crate) fn seconds(millis: Millis) -> u32 {
    u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX)
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip_and_nothing_else_decodes() {
        let subjects = [
            Subject::Session(0x0102_0304_0506_0708, Revoked::LoggedOut),
            Subject::Session(1, Revoked::Continued),
            Subject::Session(u64::MAX, Revoked::Renewed),
            Subject::Before(2, 5),
            Subject::Before(u64::MAX, u64::MAX),
            Subject::Check(7),
        ];
        for subject in subjects {
            let entry = Entry {
                subject,
                at: 7,
                until: u32::MAX,
            };
            let bytes = entry.encode();
            assert!(Entry::decode(&bytes) == Some(entry));
            for len in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..len]).is_none(), "{len}");
            }
            assert!(Entry::decode(&[&bytes[..], b"x"].concat()).is_none());
            for kind in [0, 6, 255] {
                let other = [&[kind], &bytes[1..]].concat();
                assert!(Entry::decode(&other).is_none());
            }
        }
    }

    #[test]
    fn an_end_is_the_same_entry_whatever_its_reason_and_time() {
        let entry = |revoked, at| Entry {
            subject: Subject::Session(1, revoked),
            at,
            until: 9,
        };
        let (one, other) = (entry(Revoked::LoggedOut, 1), entry(Revoked::Continued, 2));
        assert_eq!(one.key(), other.key());
    }
}
