//! The table of all metrics: names, units, and labels with all their values.

use ::metrics::Unit;

use crate::metrics::Metric;

/// The number of metrics.
const COUNT: usize = Metric::RevocationsLost as usize + 1;

/// What has a metric, and so which labels all its metrics have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `mode` and `store`.
    Layer,
    Process,
    /// `store`.
    Store,
}

pub(super) enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of the buckets.
    Histogram(&'static [f64]),
}

pub(super) struct OwnLabel {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

pub(super) struct Definition {
    pub(super) metric: Metric,
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    /// The labels beside those of the scope.
    pub(super) labels: &'static [OwnLabel],
    /// Whether its time series begin with 0, before the first event.
    pub(super) from_start: bool,
    pub(super) about: &'static str,
    /// The number of time series of the same scope that come before.
    first: usize,
}

/// The value of `key` that exists only if the layer has fallback secrets.
pub(super) const FALLBACK: &str = "fallback";

const OPENED: &[f64] = &[
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1,
    0.2, 0.5, 1.0, 2.0, 5.0,
];
const CALLED: &[f64] = &[
    1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];
const SWEPT: &[f64] = &[0.01, 0.1, 1.0, 10.0, 60.0, 600.0];
const COOKIE: &[f64] = &[256.0, 512.0, 1024.0, 2048.0, 3072.0, 3584.0, 4096.0];
const ROW: &[f64] = &[256.0, 1024.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0];
const LIFE: &[f64] = &[
    60.0,
    300.0,
    900.0,
    1800.0,
    3600.0,
    14_400.0,
    43_200.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
];
const ATTEMPTS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 64.0];

const OP: OwnLabel = OwnLabel {
    name: "op",
    values: &[
        "load",
        "create",
        "save",
        "touch",
        "delete",
        "list_owner",
        "delete_owner",
        "prune",
        "measure",
        "log_append",
        "log_read",
    ],
};

/// Builds the table. Each line: the metric, its name, kind, unit, own labels, and what it tells.
macro_rules! table {
    ($($scope:ident {
        $($metric:ident $name:literal $kind:expr, $unit:expr, $labels:expr, $from_start:literal, $about:literal;)*
    })*) => {
        [$($(Definition {
            metric: Metric::$metric,
            name: $name,
            scope: Scope::$scope,
            kind: $kind,
            unit: $unit,
            labels: $labels,
            from_start: $from_start,
            about: $about,
            first: 0,
        },)*)*]
    };
}

const fn own(name: &'static str, values: &'static [&'static str]) -> OwnLabel {
    OwnLabel { name, values }
}

const SECONDS: Option<Unit> = Some(Unit::Seconds);
const BYTES: Option<Unit> = Some(Unit::Bytes);

const REASON: OwnLabel = own(
    "reason",
    &[
        "garbage",
        "version",
        "unknown_key",
        "forged",
        "malformed",
        "expired",
        "future",
        "ambiguous",
        "gone",
        "ended",
        "replaced",
        "rolled_back",
        "unreadable",
        "revoked",
        "refused",
    ],
);

use Kind::{Counter, Gauge, Histogram};

const fn place(mut rows: [Definition; COUNT]) -> [Definition; COUNT] {
    let mut next = [0; 3];
    let mut at = 0;
    while at < COUNT {
        assert!(
            rows[at].metric as usize == at,
            "the order is that of `Metric`"
        );
        let scope = rows[at].scope as usize;
        rows[at].first = next[scope];
        next[scope] += rows[at].series();
        at += 1;
    }
    rows
}
/// All metrics, in the order of [`Metric`].
pub(super) static TABLE: [Definition; COUNT] = place(table! {
    Layer {
        Requests "session_requests_total"
            Counter, None, &[own("result", &["valid", "absent", "expired", "ended", "rejected", "error"])], true,
            "Requests whose handler asked for the session, by what it got";
        OpenDuration "session_open_duration_seconds"
            Histogram(OPENED), SECONDS, &[], false,
            "Time to find, open, check and load a session";
        CommitDuration "session_commit_duration_seconds"
            Histogram(OPENED), SECONDS, &[], false,
            "Time of commits that had to save something";
        Created "session_created_total"
            Counter, None, &[], true,
            "Sessions that began, by a first change or by a login";
        Renewed "session_renewed_total"
            Counter, None, &[], true,
            "Sessions that got another id by a renewal";
        Changed "session_changed_total"
            Counter, None, &[], true,
            "Changes of sessions that were saved";
        Refreshed "session_refreshed_total"
            Counter, None, &[], true,
            "Cookies that were sealed again, for their idle time or with a new secret";
        Ended "session_ended_total"
            Counter, None, &[own("reason", &["logout", "login", "emptied", "owner", "reused"])], true,
            "Sessions that ended before they expired";
        Moved "session_moved_total"
            Counter, None, &[own("to", &["store", "other_store", "cookie"])], false,
            "Sessions that moved";
        Rejected "session_rejected_total"
            Counter, None, &[REASON], true,
            "Session cookies that were rejected";
        Reused "session_reused_total"
            Counter, None, &[], true,
            "Cookies that came more than a minute after a renewal replaced them";
        KeyUses "session_key_uses_total"
            Counter, None, &[own("key", &["current", "fallback"]), own("sealed", &["cookie", "row"])], true,
            "Cookies and rows that were opened, by the secret that opened them";
        WritesDropped "session_writes_dropped_total"
            Counter, None, &[own("reason", &["ended", "expired", "unanswered", "too_large", "late"])], true,
            "Changes that were dropped";
        CookieBytes "session_cookie_bytes"
            Histogram(COOKIE), BYTES, &[], false,
            "Size of the session cookies that were set, name and value";
        RowBytes "session_row_bytes"
            Histogram(ROW), BYTES, &[], false,
            "Size of the sealed rows that were written";
        RemainingLife "session_remaining_life_seconds"
            Histogram(LIFE), SECONDS, &[], false,
            "Remaining life of the sessions that were opened, of one session in 64";
        SaveAttempts "session_save_attempts"
            Histogram(ATTEMPTS), None, &[], false,
            "Attempts until a changed row was saved";
        LogoutIncomplete "session_logout_incomplete_total"
            Counter, None, &[], true,
            "Logouts that did not reach the store or the log of revocations";
        Unreadable "session_unreadable_total"
            Counter, None, &[own("reason", &["unknown_key", "forged", "malformed", "garbage", "version"])], true,
            "Rows that did not open";
        LegacyRead "session_legacy_read_total"
            Counter, None, &[], false,
            "Sessions that were read from the cookie of the old system";
        LegacyRejected "session_legacy_rejected_total"
            Counter, None, &[own("reason", &["forged", "expired", "future", "malformed"])], false,
            "Cookies of the old system that were rejected";
        OldIdsTaken "session_old_ids_taken_total"
            Counter, None, &[], false,
            "Imported sessions that were taken by an id of the old system";
        CheckFailures "session_check_failures_total"
            Counter, None, &[own("cause", &["error", "panicked", "timed_out"])], false,
            "Checks of owners that gave no answer";
    }
    Process {
        Errors "session_errors_total"
            Counter, None, &[own("status", &["500", "503"])], true,
            "Errors of sessions that became responses";
    }
    Store {
        StoreDuration "session_store_operation_duration_seconds"
            Histogram(CALLED), SECONDS, &[OP], false,
            "Time of calls to the store, also of those that failed";
        StoreErrors "session_store_errors_total"
            Counter, None, &[OP, own("kind", &["config", "unreachable", "timed_out", "denied", "full", "read_only", "schema", "contended", "other"])], false,
            "Calls to the store that failed";
        StoreInFlight "session_store_operations_in_flight"
            Gauge, None, &[], false,
            "Calls to the store that are under way";
        StoreUp "session_store_up"
            Gauge, None, &[], false,
            "Whether this process is connected to all servers of the store";
        StoreReconnects "session_store_reconnects_total"
            Counter, None, &[], false,
            "New connections to a server of the store after one was lost";
        Touches "session_touches_total"
            Counter, None, &[own("result", &["done", "skipped", "gone", "error"])], false,
            "Rows whose end was to be moved";
        PrunedRows "session_pruned_rows_total"
            Counter, None, &[], false,
            "Expired rows that this process deleted";
        PruneDuration "session_prune_duration_seconds"
            Histogram(SWEPT), SECONDS, &[], false,
            "Time to delete all expired rows";
        PruneLastSuccess "session_prune_last_success_timestamp_seconds"
            Gauge, SECONDS, &[], false,
            "When this process last deleted all expired rows";
        Rows "session_rows"
            Gauge, None, &[own("state", &["live", "expired"])], false,
            "Rows in the store, as far as it knows without reading them";
        MemoryBytes "session_store_memory_bytes"
            Gauge, BYTES, &[], false,
            "Memory that the server of the store uses";
        MemoryLimitBytes "session_store_memory_limit_bytes"
            Gauge, BYTES, &[], false,
            "Memory that the server of the store may use";
        EvictedKeys "session_store_evicted_keys_total"
            Counter, None, &[], false,
            "Keys that the server evicted since this process began to measure";
        ExpiredKeys "session_store_expired_keys_total"
            Counter, None, &[], false,
            "Keys that expired since this process began to measure";
        KeysWithoutExpiry "session_store_keys_without_expiry"
            Gauge, None, &[], false,
            "Sessions without an expiry among the last thousand keys that were looked at";
        ClockSkew "session_clock_skew_seconds"
            Gauge, SECONDS, &[], false,
            "How far the clock of the server is ahead of that of this process";
        RevocationLastRead "session_revocation_last_read_timestamp_seconds"
            Gauge, SECONDS, &[], false,
            "When this process last read the log of revocations";
        RevocationEntries "session_revocation_entries"
            Gauge, None, &[], false,
            "Entries of the log that this process holds";
        Revocations "session_revocations_total"
            Counter, None, &[own("scope", &["logout", "login", "renewal", "group", "none"])], false,
            "Entries that this process added to the log";
        RevocationsLost "session_revocations_lost_total"
            Counter, None, &[], false,
            "Entries that the log had lost and this process added again";
    }
});

impl Scope {
    /// The number of its time series.
    pub(super) fn slots(self) -> usize {
        let rows = TABLE.iter().filter(|row| row.scope == self);
        rows.map(Definition::series).sum()
    }
}

impl Definition {
    /// The number of its time series in one scope.
    const fn series(&self) -> usize {
        let (mut count, mut at) = (1, 0);
        while at < self.labels.len() {
            count *= self.labels[at].values.len();
            at += 1;
        }
        count
    }

    /// The place of the time series with these values among those of its scope.
    pub(super) fn position(&self, values: &[&'static str]) -> Option<usize> {
        if values.len() != self.labels.len() {
            return None;
        }
        let mut at = 0;
        for (label, value) in self.labels.iter().zip(values) {
            let index = label.values.iter().position(|known| known == value)?;
            at = at * label.values.len() + index;
        }
        Some(self.first + at)
    }

    /// The values of all its time series.
    pub(super) fn combinations(&self) -> Vec<Vec<&'static str>> {
        self.labels.iter().fold(vec![vec![]], |all, label| {
            let with = |before: Vec<_>| {
                let values = label.values.iter();
                values.map(move |value| [before.as_slice(), &[*value]].concat())
            };
            all.into_iter().flat_map(with).collect()
        })
    }
}
