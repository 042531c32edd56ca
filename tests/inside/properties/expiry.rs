//! The lifetime of sessions, compared with a model that computes with 128-bit integers.

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
    /// Timeouts, a session's times, and a current time. The current time is usually within two
    /// milliseconds of a limit.
    fn scenario()(
        timeouts in timeouts(), times in times(), anchor in 0..7_usize, step in -2..=2_i128, far: u64,
    ) -> (Timeouts, Times, Millis) {
        let model = Model(timeouts, times);
        let anchors = [
            model.created() - MINUTE,
            model.issued() - MINUTE,
            model.created() + model.life(),
            model.issued() + timeouts.idle.map_or(0, i128::from),
            model.issued() + model.refresh_after(),
            model.issued(),
            i128::from(far),
        ];
        let now = (anchors[anchor] + step).clamp(0, MAX_MILLIS.into());
        (timeouts, times, now as Millis)
    }
}

/// The rules in the documentation, written down directly.
struct Model(Timeouts, Times);

impl Model {
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
    fn sessions_are_accepted_as_in_the_model((timeouts, times, now) in scenario()) {
        prop_assert_eq!(timeouts.check(times, now), Model(timeouts, times).check(now.into()));
    }

    #[test]
    fn expired_sessions_stay_expired((timeouts, times, now) in scenario(), later: u32) {
        let later = (now + Millis::from(later)).min(MAX_MILLIS);
        if timeouts.check(times, now) == Err(Untimely::Expired) {
            prop_assert_eq!(timeouts.check(times, later), Err(Untimely::Expired));
        }
    }

    #[test]
    fn a_session_is_first_rejected_at_its_end((timeouts, times, _) in scenario()) {
        let end = timeouts.end(times);
        if (1..=MAX_MILLIS).contains(&end) {
            prop_assert_ne!(timeouts.check(times, end), Ok(()));
            prop_assert_ne!(timeouts.check(times, end - 1), Err(Untimely::Expired));
        }
    }

    #[test]
    fn max_age_is_the_remaining_life_rounded_up_to_seconds((timeouts, times, now) in scenario()) {
        let model = Model(timeouts, times);
        let end = model.idle().map_or(model.created() + model.life(), |idle| {
            (model.created() + model.life()).min(model.issued() + idle)
        });
        let remaining = (end - i128::from(now)).clamp(0, 400 * DAY);
        let max_age = 1000 * i128::from(timeouts.max_age(times, now));
        prop_assert!((remaining..remaining + 1000).contains(&max_age), "{remaining} {max_age}");
    }

    #[test]
    fn stricter_limits_accept_no_additional_sessions((timeouts, times, now) in scenario(), stricter in timeouts()) {
        let both = |a: Option<Millis>, b: Option<Millis>| a.into_iter().chain(b).min();
        let strict = Timeouts {
            idle: both(timeouts.idle, stricter.idle),
            absolute: timeouts.absolute.min(stricter.absolute),
            max_remember: timeouts.max_remember.min(stricter.max_remember),
        };
        if strict.check(times, now).is_ok() {
            prop_assert_eq!(timeouts.check(times, now), Ok(()));
        }
        prop_assert!(strict.end(times) <= timeouts.end(times));
    }

    #[test]
    fn refreshes_are_due_as_in_the_model((timeouts, times, now) in scenario(), fallback: bool) {
        let model = Model(timeouts, times);
        let old = i128::from(now) - model.issued() >= model.refresh_after();
        // a clock that went back makes no refresh due, even if the delay is zero
        let due = old && i128::from(now) >= model.issued() && (model.idle().is_some() || fallback);
        prop_assert_eq!(timeouts.refresh_due(times, fallback, now), due);
    }

    #[test]
    fn slow_refreshes_wait_as_in_the_model((timeouts, times, now) in scenario(), took in prop_oneof![1_998..2_003_u64, any::<u64>()]) {
        let opened = now.saturating_sub(took);
        let model = Model(timeouts, times);
        let early = model.idle().is_none_or(|idle| (i128::from(now) - model.issued()).max(0) < idle / 2);
        prop_assert_eq!(timeouts.refresh_can_wait(times, opened, now), now - opened > 2_000 && early);
    }

    /// Between requests the clock moves forward or back.
    #[test]
    fn refreshes_never_extend_the_absolute_lifetime(
        (timeouts, mut times, _) in scenario(), fallback: bool, steps in vec(-1_000_000..100_000_000_i64, 1..40),
    ) {
        let (first, life) = (times, Model(timeouts, times).life());
        let mut now = times.created;
        for step in steps {
            now = now.saturating_add_signed(step).min(MAX_MILLIS);
            if timeouts.check(times, now).is_ok() {
                prop_assert!(i128::from(now) < Model(timeouts, times).created() + life);
                if timeouts.refresh_due(times, fallback, now) {
                    let before = times.issued;
                    times.issue(now);
                    prop_assert!(times.issued >= before && times.issued_at() <= now);
                }
            }
            prop_assert_eq!(times, Times { issued: times.issued, ..first });
            prop_assert!(i128::from(timeouts.end(times)) <= Model(timeouts, times).created() + life);
        }
    }

    /// Times are stored in whole seconds, so this does not hold for idle timeouts below ten
    /// seconds.
    #[test]
    fn a_session_used_within_nine_tenths_of_its_idle_timeout_stays_valid(
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
