//! The clock that layers use.

use std::{fmt, sync::Arc, time::SystemTime};

use time::OffsetDateTime;

/// The time source of a layer.
///
/// A layer uses the system clock unless [`SessionLayerBuilder::clock`] sets another, such as
/// [`testing::TestClock`](crate::testing::TestClock).
///
/// [`SessionLayerBuilder::clock`]: crate::SessionLayerBuilder::clock
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time. Before 1970, sessions are neither opened nor sealed.
    ///
    /// A layer calls this method while it opens a session. The method must not use that session.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the operating system. Layers use it by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// Milliseconds since 1970, as records store them: 48 bits, until the year 10889.
pub(crate) type Millis = u64;

pub(crate) const MAX_MILLIS: Millis = (1 << 48) - 1;

/// A layer's clock. The system clock is read directly.
#[derive(Clone)]
pub(crate) enum Source {
    System,
    Custom(Arc<dyn Clock>),
}

impl Source {
    /// The current time, or `None` before 1970.
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

/// Converts to the type of the public API. Times after the year 9999 become its last moment.
pub(crate) fn moment(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

/// Converts from the type of the public API, rounded down. Times before 1970 become 1970.
pub(crate) fn millis(moment: OffsetDateTime) -> Millis {
    Millis::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0)
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
    fn times_before_1970_are_none() {
        let at = |nanos| {
            let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("in range");
            Source::Custom(Arc::new(At(moment))).now()
        };
        assert_eq!(at(-1), None);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1_999_999), Some(1));
    }

    #[test]
    fn both_sources_agree() {
        let system = Source::System.now().expect("after 1970");
        let custom = Source::Custom(Arc::new(SystemClock))
            .now()
            .expect("after 1970");
        assert!(custom.abs_diff(system) < 60_000);
    }

    #[test]
    fn times_after_9999_are_capped() {
        assert_eq!(moment(MAX_MILLIS).year(), 9999);
        assert_eq!(moment(0).unix_timestamp(), 0);
    }
}
