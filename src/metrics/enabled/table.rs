//! The table of all metrics.

use ::metrics::Unit;

use super::definition::{
    Definition,
    Kind::{Counter, Gauge, Histogram},
    OwnLabel, Scope,
};
use crate::metrics::Metric;

/// The number of metrics.
const COUNT: usize = Metric::RevocationsLost as usize + 1;

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
            "Time to find, open, check and load a session, of one request in 16 if no store or log was asked";
        CommitDuration "session_commit_duration_seconds"
            Histogram(OPENED), SECONDS, &[], false,
            "Time of commits that had to save something, of one in 16 if no store or log was asked";
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
            "Size of the session cookies that were set, name and value, of one in 16";
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
            Counter, None, &[own("scope", &["logout", "login", "renewal", "group"])], false,
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{super::definition::Kind, *};
    use crate::{
        event::{DropReason, EndReason, Reason},
        key::{Age, KeyId},
        metrics::Mode,
        store::StoreErrorKind,
    };

    /// Kind and own labels by name.
    type Told = BTreeMap<String, (String, BTreeMap<String, BTreeSet<String>>)>;

    fn told_by_table() -> Told {
        let row = |row: &Definition| {
            let kind = match row.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let labels = row.labels.iter().map(|label| {
                let values = label.values.iter().map(|value| (*value).to_owned());
                (label.name.to_owned(), values.collect())
            });
            (row.name.to_owned(), (kind.to_owned(), labels.collect()))
        };
        TABLE.iter().map(row).collect()
    }

    /// ``| `name` | kind | `label`: `value`, `value`; `label`: … | meaning |``. A label without values
    /// has those of the row above.
    fn told_by_guide() -> Told {
        let (mut told, mut known) = (Told::new(), BTreeMap::new());
        let page = include_str!("../../guide/events.md");
        for line in page.lines().filter(|line| line.starts_with("| `session_")) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let mut labels = BTreeMap::new();
            for label in cells[3].split(';').filter(|label| !label.trim().is_empty()) {
                let mut words = label.split('`').skip(1).step_by(2).map(str::to_owned);
                let name = words.next().expect("a name");
                let values: BTreeSet<_> = words.collect();
                if !values.is_empty() {
                    known.insert(name.clone(), values);
                }
                let values = known.get(&name).expect("values").clone();
                labels.insert(name, values);
            }
            let name = cells[1].trim_matches('`').to_owned();
            assert!(cells[4].len() > 10, "{name} has no meaning");
            told.insert(name, (cells[2].to_owned(), labels));
        }
        told
    }

    #[test]
    fn the_guide_lists_every_metric_with_its_labels() {
        let (table, guide) = (told_by_table(), told_by_guide());
        for (name, row) in &table {
            assert_eq!(Some(row), guide.get(name), "{name}");
        }
        assert_eq!(table.len(), guide.len());
        assert_eq!(table.len(), TABLE.len(), "no name twice");
        let page = include_str!("../../guide/events.md");
        for mode in Mode::ALL {
            assert!(page.contains(&format!("`{}`", mode.name())), "{mode:?}");
        }
    }

    #[test]
    fn names_have_the_suffix_of_their_kind_and_unit() {
        for row in &TABLE {
            let is_counter = matches!(row.kind, Kind::Counter);
            assert_eq!(row.name.ends_with("_total"), is_counter, "{}", row.name);
            let unit = match row.unit {
                Some(Unit::Seconds) => row.name.ends_with("_seconds"),
                Some(Unit::Bytes) => row.name.ends_with("_bytes"),
                _ => !row.name.ends_with("_seconds") && !row.name.ends_with("_bytes"),
            };
            assert!(unit, "{}", row.name);
            if let Kind::Histogram(bounds) = row.kind {
                assert!(bounds.is_sorted() && bounds.len() > 3, "{}", row.name);
            }
        }
    }

    #[test]
    fn every_time_series_has_a_place_of_its_own() {
        for scope in [Scope::Layer, Scope::Process, Scope::Store] {
            let rows = TABLE.iter().filter(|row| row.scope == scope);
            let places = rows.flat_map(|row| {
                let all = row.combinations();
                all.into_iter().map(|values| row.position(&values))
            });
            let places: Vec<_> = places.collect();
            assert_eq!(places, (0..scope.slots()).map(Some).collect::<Vec<_>>());
        }
    }

    /// Otherwise an event with such a value would not be counted.
    #[test]
    fn every_name_of_a_reason_is_a_value_of_its_label() {
        let has = |metric: Metric, label: usize, value: &str| {
            let values = TABLE[metric as usize].labels[label].values;
            assert!(values.contains(&value), "{metric:?} {value}");
        };
        for reason in [
            Reason::Garbage,
            Reason::Version,
            Reason::UnknownKey(KeyId([0; 4])),
            Reason::Forged,
            Reason::Malformed,
            Reason::Expired,
            Reason::Future,
            Reason::Ambiguous,
            Reason::Gone,
            Reason::Ended,
            Reason::Replaced,
            Reason::RolledBack,
            Reason::Unreadable,
            Reason::Revoked,
            Reason::Refused,
        ] {
            has(Metric::Rejected, 0, reason.name());
        }
        for reason in [
            DropReason::Ended,
            DropReason::Expired,
            DropReason::Unanswered,
            DropReason::TooLarge,
        ] {
            has(Metric::WritesDropped, 0, reason.name());
        }
        for reason in [
            EndReason::Logout,
            EndReason::Login,
            EndReason::Emptied,
            EndReason::Owner,
            EndReason::Reused,
        ] {
            has(Metric::Ended, 0, reason.name());
        }
        for kind in [
            StoreErrorKind::Config,
            StoreErrorKind::Unreachable,
            StoreErrorKind::TimedOut,
            StoreErrorKind::Denied,
            StoreErrorKind::Full,
            StoreErrorKind::ReadOnly,
            StoreErrorKind::Schema,
            StoreErrorKind::Contended,
            StoreErrorKind::Other,
        ] {
            has(Metric::StoreErrors, 1, kind.name());
        }
        for age in [Age::Current, Age::Fallback] {
            has(Metric::KeyUses, 0, age.name());
        }
        assert_eq!(Age::Fallback.name(), FALLBACK);
    }
}
