//! Session lifetimes: pure functions of a record's times and the current time.

use std::time::Duration;

use crate::{clock::Millis, record::Times};

/// How far ahead the clock of another instance may be.
pub(crate) const SKEW: Millis = 60_000;

/// Whether `moment` is at most `limit` ago. It may be up to 60 s ahead.
///
/// ```text
/// moment ≤ now + 60 s
/// now − moment ≤ limit
/// ```
pub(crate) fn is_within(moment: Millis, limit: Duration, now: Millis) -> bool {
    moment <= now.saturating_add(SKEW)
        && u128::from(now.saturating_sub(moment)) <= limit.as_millis()
}

/// Browsers keep no cookie longer (RFC 6265bis).
const MAX_AGE_LIMIT: Millis = 400 * 24 * 3600 * 1000;

/// The idle deadline of a session is extended at most this often.
const MAX_REFRESH: Millis = 5 * 60_000;

/// A request that takes longer than this may not refresh early, since a faster one may have written
/// in the meantime.
const SLOW: Millis = 2_000;

/// A layer's timeouts. They also apply to sessions that were sealed under other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// `None` if the absolute timeout always comes first.
    pub(crate) idle: Option<Millis>,
    pub(crate) absolute: Millis,
    pub(crate) max_remember: Millis,
}

/// Why an authentic session is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimely {
    Expired,
    Future,
}

impl Times {
    /// When the session was last sealed.
    pub(crate) fn issued_at(self) -> Millis {
        self.created
            .saturating_add(Millis::from(self.issued) * 1000)
    }
}

impl Timeouts {
    /// Checks that a session is not expired and not from the future. `t` is the time of its last
    /// seal.
    ///
    /// ```text
    /// created ≤ now + 60 s
    /// t ≤ now + 60 s
    /// now − created < min(lifetime, limit)
    /// now − t < idle, unless remembered
    /// ```
    pub(crate) fn check(&self, times: Times, now: Millis) -> Result<(), Untimely> {
        // `created` is never later than `t`
        if times.issued_at() > now + SKEW {
            return Err(Untimely::Future);
        }
        match now < self.end(times) {
            true => Ok(()),
            false => Err(Untimely::Expired),
        }
    }

    /// Checks a ticket as [`check`](Self::check) does, but not its idle time: the row has the time
    /// of the last use.
    pub(crate) fn check_ticket(&self, times: Times, now: Millis) -> Result<(), Untimely> {
        if times.created > now + SKEW {
            return Err(Untimely::Future);
        }
        match now < self.last(times) {
            true => Ok(()),
            false => Err(Untimely::Expired),
        }
    }

    /// The first moment at which the session is no longer accepted, unless it is used before.
    pub(crate) fn end(&self, times: Times) -> Millis {
        let limit = if times.remembered {
            self.max_remember
        } else {
            self.absolute
        };
        let end = times
            .created
            .saturating_add(limit.min(Millis::from(times.lifetime) * 1000));
        match self.idle_limit(times) {
            Some(idle) => end.min(times.issued_at().saturating_add(idle)),
            None => end,
        }
    }

    /// The cookie's `Max-Age`: the remaining life in seconds, rounded up, at most 400 days.
    pub(crate) fn max_age(&self, times: Times, now: Millis) -> u64 {
        self.end(times)
            .saturating_sub(now)
            .min(MAX_AGE_LIMIT)
            .div_ceil(1000)
    }

    /// The `Max-Age` of a ticket.
    pub(crate) fn max_age_of_ticket(&self, times: Times, now: Millis) -> u64 {
        let left = self.last(times).saturating_sub(now);
        left.min(MAX_AGE_LIMIT).div_ceil(1000)
    }

    /// Whether an unchanged session is due to be sealed again.
    pub(crate) fn refresh_due(&self, times: Times, fallback_key: bool, now: Millis) -> bool {
        let idle = self.idle_limit(times);
        let threshold = idle.map_or(MAX_REFRESH, |idle| MAX_REFRESH.min(idle / 10));
        (idle.is_some() || fallback_key) && now.saturating_sub(times.issued_at()) >= threshold
    }

    /// Whether a refresh that is due can wait: the request was slow and the idle deadline is far.
    pub(crate) fn refresh_can_wait(&self, times: Times, opened: Millis, now: Millis) -> bool {
        let gone = now.saturating_sub(times.issued_at());
        Self::is_slow(opened, now) && self.idle_limit(times).is_none_or(|idle| gone < idle / 2)
    }

    /// Whether a request took so long that a faster one may have written in the meantime.
    pub(crate) fn is_slow(opened: Millis, now: Millis) -> bool {
        now.saturating_sub(opened) > SLOW
    }

    /// The first moment at which the session is no longer accepted, however often it is used.
    pub(crate) fn last(&self, times: Times) -> Millis {
        let used = Times {
            issued: u32::MAX,
            ..times
        };
        self.end(used)
    }

    /// Whether the end of an unchanged stored session has to be moved: once in a tenth of the idle
    /// timeout. Without one, if its row would expire before the session does.
    pub(crate) fn touch_due(&self, times: Times, expires: Millis, now: Millis) -> bool {
        let mut used = times;
        used.issue(now);
        let end = self.end(used);
        match self.idle_limit(times) {
            Some(idle) => end.abs_diff(expires) >= idle / 10,
            None => end > expires,
        }
    }

    /// The times of a stored session at its last use. That time is calculated from the end of its
    /// row.
    pub(crate) fn as_of(&self, mut times: Times, expires: Millis, now: Millis) -> Times {
        if let Some(idle) = self.idle_limit(times) {
            times.issue(expires.saturating_sub(idle).min(now));
        }
        times
    }

    fn idle_limit(&self, times: Times) -> Option<Millis> {
        self.idle.filter(|_| !times.remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;
    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;
    const DAY: Millis = 24 * HOUR;
    const DEFAULT: Timeouts = Timeouts {
        idle: Some(HOUR),
        absolute: DAY,
        max_remember: 30 * DAY,
    };

    fn times(age: Millis, issued_ago: Millis) -> Times {
        let issued = u32::try_from((age - issued_ago) / 1000).expect("small");
        Times {
            created: NOW - age,
            issued,
            lifetime: (DAY / 1000) as u32,
            remembered: false,
        }
    }

    fn remembered(age: Millis, lifetime: Millis) -> Times {
        let lifetime = u32::try_from(lifetime / 1000).expect("small");
        Times {
            created: NOW - age,
            issued: 0,
            lifetime,
            remembered: true,
        }
    }

    #[test]
    fn idle_and_absolute_timeouts_are_exact_to_the_millisecond() {
        let check = |times, now| DEFAULT.check(times, now);
        let idle = times(2 * HOUR, 0);
        assert_eq!(check(idle, NOW + HOUR - 1), Ok(()));
        assert_eq!(check(idle, NOW + HOUR), Err(Untimely::Expired));
        let old = times(DAY - MINUTE, 0);
        assert_eq!(check(old, NOW + MINUTE - 1), Ok(()));
        assert_eq!(check(old, NOW + MINUTE), Err(Untimely::Expired));
    }

    #[test]
    fn times_up_to_a_minute_ahead_are_accepted() {
        let ahead = Times {
            created: NOW + SKEW,
            ..times(0, 0)
        };
        assert_eq!(DEFAULT.check(ahead, NOW), Ok(()));
        assert_eq!(DEFAULT.check(ahead, NOW - 1), Err(Untimely::Future));
        let issued_ahead = Times {
            issued: 61,
            ..times(0, 0)
        };
        assert_eq!(DEFAULT.check(issued_ahead, NOW), Err(Untimely::Future));
        assert_eq!(DEFAULT.check(issued_ahead, NOW + 1000), Ok(()));
    }

    #[test]
    fn a_remembered_session_has_its_own_lifetime_and_no_idle_timeout() {
        assert_eq!(DEFAULT.check(remembered(7 * DAY - 1, 7 * DAY), NOW), Ok(()));
        assert_eq!(
            DEFAULT.check(remembered(7 * DAY, 7 * DAY), NOW),
            Err(Untimely::Expired)
        );
        assert_eq!(
            DEFAULT.check(remembered(30 * DAY, 90 * DAY), NOW),
            Err(Untimely::Expired)
        );
    }

    #[test]
    fn shorter_timeouts_apply_to_existing_sessions() {
        let tight = Timeouts {
            idle: Some(5 * MINUTE),
            absolute: HOUR,
            ..DEFAULT
        };
        assert_eq!(tight.check(times(2 * HOUR, 0), NOW), Err(Untimely::Expired));
        assert_eq!(
            tight.check(times(10 * MINUTE, 5 * MINUTE), NOW),
            Err(Untimely::Expired)
        );
    }

    #[test]
    fn max_age_is_the_remaining_life() {
        assert_eq!(DEFAULT.max_age(times(0, 0), NOW), 3600);
        assert_eq!(DEFAULT.max_age(times(DAY - MINUTE, 0), NOW), 60);
        assert_eq!(
            DEFAULT.max_age(remembered(DAY, 30 * DAY), NOW),
            29 * 24 * 3600
        );
        let long = Timeouts {
            max_remember: 1000 * DAY,
            ..DEFAULT
        };
        assert_eq!(
            long.max_age(remembered(0, 1000 * DAY), NOW),
            400 * 24 * 3600
        );
        assert_eq!(DEFAULT.max_age(times(DAY - MINUTE, 0), NOW + MINUTE - 5), 1);
        assert_eq!(DEFAULT.max_age(times(2 * DAY, 0), NOW), 0);
    }

    #[test]
    fn a_refresh_is_due_after_a_tenth_of_the_idle_time_or_five_minutes() {
        let due = |timeouts: Timeouts, ago| timeouts.refresh_due(times(DAY / 2, ago), false, NOW);
        assert!(!due(DEFAULT, 5 * MINUTE - 1000) && due(DEFAULT, 5 * MINUTE));
        let short = Timeouts {
            idle: Some(10 * MINUTE),
            ..DEFAULT
        };
        assert!(!due(short, MINUTE - 1000) && due(short, MINUTE));
        let none = Timeouts {
            idle: None,
            ..DEFAULT
        };
        assert!(!due(none, 12 * HOUR));
        assert!(none.refresh_due(times(DAY / 2, 5 * MINUTE), true, NOW));
        assert!(!DEFAULT.refresh_due(remembered(DAY, 30 * DAY), false, NOW));
        assert!(DEFAULT.refresh_due(remembered(DAY, 30 * DAY), true, NOW));
    }

    #[test]
    fn a_slow_request_refreshes_only_after_half_the_idle_time() {
        let wait = |ago, took| DEFAULT.refresh_can_wait(times(DAY / 2, ago), NOW - took, NOW);
        assert!(wait(10 * MINUTE, 2001));
        assert!(!wait(10 * MINUTE, 2000));
        assert!(!wait(30 * MINUTE, 10_000));
    }

    #[test]
    fn a_moment_is_within_a_limit_up_to_a_minute_ahead() {
        let within = |moment, limit| is_within(moment, Duration::from_millis(limit), NOW);
        assert!(within(NOW - MINUTE, MINUTE) && !within(NOW - MINUTE, MINUTE - 1));
        assert!(within(NOW, 0) && !within(NOW - 1, 0));
        assert!(within(NOW + SKEW, 0) && !within(NOW + SKEW + 1, 0));
        assert!(is_within(0, Duration::MAX, Millis::MAX));
        assert!(!is_within(0, Duration::ZERO, Millis::MAX));
        assert!(is_within(Millis::MAX, Duration::ZERO, Millis::MAX));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let last = Times {
            created: crate::clock::MAX_MILLIS,
            issued: u32::MAX,
            lifetime: u32::MAX,
            remembered: false,
        };
        let first = Times {
            created: 0,
            issued: 0,
            ..last
        };
        let endless = Timeouts {
            idle: Some(Millis::MAX),
            absolute: Millis::MAX,
            max_remember: Millis::MAX,
        };
        for timeouts in [DEFAULT, endless] {
            assert_eq!(timeouts.check(last, 0), Err(Untimely::Future));
            assert!(timeouts.max_age(last, 0) <= 400 * 24 * 3600);
            assert_eq!(
                timeouts.check(first, crate::clock::MAX_MILLIS),
                Err(Untimely::Expired)
            );
        }
    }
}
