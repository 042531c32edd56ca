//! The counters of the events.

use http::StatusCode;

use super::Event;
use crate::metrics::{Metric, Metrics};

impl Event<'_> {
    /// Counts the event. An event without a counter tells of something that is set up, or is the
    /// sum of others.
    pub(super) fn count(&self, metrics: &Metrics) {
        let one = |metric, labels: &[&'static str]| metrics.count(metric, labels, 1);
        match *self {
            Self::Created(_) => one(Metric::Created, &[]),
            // the old session ended, which is an event of its own
            Self::Renewed { login: true, .. } => one(Metric::Created, &[]),
            Self::Renewed { login: false, .. } => one(Metric::Renewed, &[]),
            Self::Changed(_) => one(Metric::Changed, &[]),
            Self::Refreshed(_) => one(Metric::Refreshed, &[]),
            Self::Ended { reason, .. } => one(Metric::Ended, &[reason.name()]),
            Self::OwnerEnded { count } => metrics.count(Metric::Ended, &["owner"], count),
            Self::Overflowed(_) | Self::MovedToStore(_) => one(Metric::Moved, &["store"]),
            Self::MovedToCookie(_) => one(Metric::Moved, &["cookie"]),
            Self::Adopted(_) => one(Metric::Moved, &["other_store"]),
            Self::Rejected(reason) => one(Metric::Rejected, &[reason.name()]),
            Self::Reused { .. } => one(Metric::Reused, &[]),
            Self::Dropped(reason) => one(Metric::WritesDropped, &[reason.name()]),
            Self::LateWrite { .. } => one(Metric::WritesDropped, &["late"]),
            Self::LogoutIncomplete => one(Metric::LogoutIncomplete, &[]),
            Self::Unreadable { reason, .. } => one(Metric::Unreadable, &[reason.name()]),
            Self::LegacyRead { .. } => one(Metric::LegacyRead, &[]),
            Self::LegacyRejected(reason) => one(Metric::LegacyRejected, &[reason.name()]),
            Self::OldIdTaken(_) => one(Metric::OldIdsTaken, &[]),
            Self::CheckFailed { cause, .. } => one(Metric::CheckFailures, &[cause]),
            Self::Failed(error) => {
                let status = match error.status() {
                    StatusCode::SERVICE_UNAVAILABLE => "503",
                    _ => "500",
                };
                one(Metric::Errors, &[status]);
            }
            Self::StoreFailed { call, kind, .. } => one(Metric::StoreErrors, &[call, kind]),
            Self::RevocationsFailed { call, kind, .. } => {
                let op = match call {
                    "append" => "log_append",
                    _ => "log_read",
                };
                one(Metric::StoreErrors, &[op, kind]);
            }
            Self::RevocationsLost { count } => {
                metrics.count(Metric::RevocationsLost, &[], count);
            }
            Self::Pruned { count } => metrics.count(Metric::PrunedRows, &[], count),
            Self::Removed
            | Self::EndsForgotten { .. }
            | Self::UnknownKeys { .. }
            | Self::LegacyForged { .. }
            | Self::LegacyLoggedOut(_)
            | Self::LegacyLeftOut
            | Self::Signed { .. }
            | Self::WeakLegacy
            | Self::RevocationsStale { .. }
            | Self::RevocationsRead
            | Self::RevocationUnreadable
            | Self::Unrevocable { .. }
            | Self::StoreDefault { .. }
            | Self::StoreEvicts { .. }
            | Self::Nested { .. }
            | Self::Clock
            | Self::Ephemeral
            | Self::Insecure { .. }
            | Self::Unprefixed { .. } => {}
        }
    }
}
