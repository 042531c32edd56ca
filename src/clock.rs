//! What time it is.

use std::{fmt, sync::Arc, time::SystemTime};

use time::OffsetDateTime;

/// Tells a layer the time. The system's clock unless [`SessionLayerBuilder::clock`] sets another,
/// such as [`testing::TestClock`](crate::testing::TestClock).
///
/// [`SessionLayerBuilder::clock`]: crate::SessionLayerBuilder::clock
pub trait Clock: Send + Sync + 'static {
    /// The present moment. A moment before 1970 opens no session and seals none.
    ///
    /// It is asked while a session is opened, and must not ask for that session in turn.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the operating system, which needs not be named: layers use it by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A moment in milliseconds since 1970, as records have it: 48 bits, until the year 10889.
pub(crate) type Millis = u64;

pub(crate) const MAX_MILLIS: Millis = (1 << 48) - 1;

/// A layer's clock; the system's own is read without a detour.
#[derive(Clone)]
pub(crate) enum Source {
    System,
    Custom(Arc<dyn Clock>),
}

impl Source {
    /// `None` before 1970.
    pub(crate) fn now(&self) -> Option<Millis> {
        let millis: i128 = match self {
            Self::System => {
                i128::try_from(SystemTime::UNIX_EPOCH.elapsed().ok()?.as_millis()).ok()?
            }
            Self::Custom(clock) => clock.now().unix_timestamp_nanos().div_euclid(1_000_000),
        };
        u64::try_from(millis)
            .ok()
            .map(|millis| millis.min(MAX_MILLIS))
    }
}

/// The moment as the API shows it; what is past the year 9999 shows as its end.
pub(crate) fn moment(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Custom(_) => "Custom",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(OffsetDateTime);

    impl Clock for At {
        fn now(&self) -> OffsetDateTime {
            self.0
        }
    }

    #[test]
    fn a_moment_before_1970_is_none() {
        let at = |nanos| {
            let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("in range");
            Source::Custom(Arc::new(At(moment))).now()
        };
        assert_eq!(at(-1), None);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1_999_999), Some(1));
    }

    #[test]
    fn both_sources_tell_the_same_time() {
        let system = Source::System.now().expect("after 1970");
        let custom = Source::Custom(Arc::new(SystemClock))
            .now()
            .expect("after 1970");
        assert!(custom.abs_diff(system) < 60_000);
    }

    #[test]
    fn the_last_moment_can_be_shown() {
        assert_eq!(moment(MAX_MILLIS).year(), 9999);
        assert_eq!(moment(0).unix_timestamp(), 0);
    }
}
