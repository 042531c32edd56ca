//! How long sessions live, against integers that do not overflow.

use proptest::{collection::vec, prelude::*};

use super::config;
use crate::{
    clock::{MAX_MILLIS, Millis},
    expiry::{Timeouts, Untimely},
    record::Times,
};

const MINUTE: i128 = 60_000;
const DAY: i128 = 24 * 60 * MINUTE;

fn limit() -> impl Strategy<Value = Millis> {
    prop_oneof![
        1_000..10_000_u64,
        10_000..100_000_000_u64,
        1_000..=u64::from(u32::MAX) * 1000,
        Just(u64::from(u32::MAX) * 1000),
    ]
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        0..100_u32,
        0..100_000_u32,
        any::<u32>(),
        Just(u32::MAX)
    ]
}

prop_compose! {
    fn timeouts()(idle in proptest::option::of(limit()), absolute in limit(), max_remember in limit()) -> Timeouts {
        Timeouts { idle, absolute, max_remember }
    }
}

prop_compose! {
    fn times()(
        created in prop_oneof![Just(0), Just(MAX_MILLIS), 0..=MAX_MILLIS],
        issued in seconds(), lifetime in seconds(), remembered: bool,
    ) -> Times {
        Times { created, issued, lifetime, remembered }
    }
}

prop_compose! {
    /// A moment, most often within some milliseconds of one at which something changes.
    fn scene()(
        timeouts in timeouts(), times in times(), anchor in 0..7_usize, step in -2..=2_i128, far: u64,
    ) -> (Timeouts, Times, Millis) {
        let plain = Plain(timeouts, times);
        let anchors = [
            plain.created() - MINUTE,
            plain.issued() - MINUTE,
            plain.created() + plain.life(),
            plain.issued() + timeouts.idle.map_or(0, i128::from),
            plain.issued() + plain.refresh_after(),
            plain.issued(),
            i128::from(far),
        ];
        let now = (anchors[anchor] + step).clamp(0, MAX_MILLIS.into());
        (timeouts, times, now as Millis)
    }
}

/// The rules of the design as they stand there.
struct Plain(Timeouts, Times);

impl Plain {
    fn created(&self) -> i128 {
        self.1.created.into()
    }

    fn issued(&self) -> i128 {
        self.created() + 1000 * i128::from(self.1.issued)
    }

    fn life(&self) -> i128 {
        let limit = if self.1.remembered {
            self.0.max_remember
        } else {
            self.0.absolute
        };
        i128::from(limit).min(1000 * i128::from(self.1.lifetime))
    }

    fn idle(&self) -> Option<i128> {
        if self.1.remembered {
            None
        } else {
            self.0.idle.map(i128::from)
        }
    }

    fn refresh_after(&self) -> i128 {
        self.idle()
            .map_or(5 * MINUTE, |idle| (idle / 10).min(5 * MINUTE))
    }

    fn check(&self, now: i128) -> Result<(), Untimely> {
        if self.created() > now + MINUTE || self.issued() > now + MINUTE {
            return Err(Untimely::Future);
        }
        let lives = now - self.created() < self.life();
        let in_use = self.idle().is_none_or(|idle| now - self.issued() < idle);
        if lives && in_use {
            Ok(())
        } else {
            Err(Untimely::Expired)
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_session_is_accepted_by_the_rules((timeouts, times, now) in scene()) {
        prop_assert_eq!(timeouts.check(times, now), Plain(timeouts, times).check(now.into()));
    }

    #[test]
    fn what_is_over_stays_over((timeouts, times, now) in scene(), later: u32) {
        let later = (now + Millis::from(later)).min(MAX_MILLIS);
        if timeouts.check(times, now) == Err(Untimely::Expired) {
            prop_assert_eq!(timeouts.check(times, later), Err(Untimely::Expired));
        }
    }

    #[test]
    fn the_end_is_the_first_moment_that_is_refused((timeouts, times, _) in scene()) {
        let end = timeouts.end(times);
        if (1..=MAX_MILLIS).contains(&end) {
            prop_assert_ne!(timeouts.check(times, end), Ok(()));
            prop_assert_ne!(timeouts.check(times, end - 1), Err(Untimely::Expired));
        }
    }

    #[test]
    fn max_age_covers_the_remaining_life_and_less_than_a_second_more((timeouts, times, now) in scene()) {
        let plain = Plain(timeouts, times);
        let end = plain.idle().map_or(plain.created() + plain.life(), |idle| {
            (plain.created() + plain.life()).min(plain.issued() + idle)
        });
        let remaining = (end - i128::from(now)).clamp(0, 400 * DAY);
        let max_age = 1000 * i128::from(timeouts.max_age(times, now));
        prop_assert!((remaining..remaining + 1000).contains(&max_age), "{remaining} {max_age}");
    }

    #[test]
    fn limits_that_are_tightened_accept_nothing_more((timeouts, times, now) in scene(), tighter in timeouts()) {
        let both = |a: Option<Millis>, b: Option<Millis>| a.into_iter().chain(b).min();
        let tight = Timeouts {
            idle: both(timeouts.idle, tighter.idle),
            absolute: timeouts.absolute.min(tighter.absolute),
            max_remember: timeouts.max_remember.min(tighter.max_remember),
        };
        if tight.check(times, now).is_ok() {
            prop_assert_eq!(timeouts.check(times, now), Ok(()));
        }
        prop_assert!(tight.end(times) <= timeouts.end(times));
    }

    #[test]
    fn a_refresh_is_due_by_the_rules((timeouts, times, now) in scene(), fallback: bool) {
        let plain = Plain(timeouts, times);
        let old = i128::from(now) - plain.issued() >= plain.refresh_after();
        // at once if there is nothing to wait for, and never if that moment is still to come
        let due = old && i128::from(now) >= plain.issued() && (plain.idle().is_some() || fallback);
        prop_assert_eq!(timeouts.refresh_due(times, fallback, now), due);
    }

    #[test]
    fn a_slow_refresh_waits_by_the_rules((timeouts, times, now) in scene(), took in prop_oneof![1_998..2_003_u64, any::<u64>()]) {
        let opened = now.saturating_sub(took);
        let plain = Plain(timeouts, times);
        let early = plain.idle().is_none_or(|idle| (i128::from(now) - plain.issued()).max(0) < idle / 2);
        prop_assert_eq!(timeouts.refresh_can_wait(times, opened, now), now - opened > 2_000 && early);
    }

    /// Whatever the clock does between requests, forward and back.
    #[test]
    fn refreshes_never_lengthen_the_absolute_life(
        (timeouts, mut times, _) in scene(), fallback: bool, steps in vec(-1_000_000..100_000_000_i64, 1..40),
    ) {
        let (first, life) = (times, Plain(timeouts, times).life());
        let mut now = times.created;
        for step in steps {
            now = now.saturating_add_signed(step).min(MAX_MILLIS);
            if timeouts.check(times, now).is_ok() {
                prop_assert!(i128::from(now) < Plain(timeouts, times).created() + life);
                if timeouts.refresh_due(times, fallback, now) {
                    let before = times.issued;
                    times.issue(now);
                    prop_assert!(times.issued >= before && times.issued_at() <= now);
                }
            }
            prop_assert_eq!(times, Times { issued: times.issued, ..first });
            prop_assert!(i128::from(timeouts.end(times)) <= Plain(timeouts, times).created() + life);
        }
    }

    /// Times are kept in whole seconds, so below ten of them it does not hold.
    #[test]
    fn whoever_returns_within_nine_tenths_of_the_idle_time_stays(
        idle in 10_000..10_000_000_u64, created in 0..MAX_MILLIS / 2, gaps in vec(0.0..=0.9_f64, 1..60),
    ) {
        let timeouts = Timeouts { idle: Some(idle), absolute: Millis::MAX, max_remember: 0 };
        let mut times = Times { created, issued: 0, lifetime: u32::MAX, remembered: false };
        let mut now = created;
        for gap in gaps {
            now += (idle as f64 * gap) as Millis;
            prop_assert_eq!(timeouts.check(times, now), Ok(()));
            if timeouts.refresh_due(times, false, now) {
                times.issue(now);
            }
        }
    }
}
