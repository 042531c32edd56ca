//! The events as `tracing` events.

use http::StatusCode;

use super::{Event, Reason};
use crate::error::Chain;

impl Event<'_> {
    pub(super) fn trace(self) {
        macro_rules! emit {
            ($level:ident, $name:literal, $($rest:tt)*) => {
                tracing::$level!(target: "tower_sealed_session", event = $name, $($rest)*)
            };
        }
        match self {
            Self::Created(id) => emit!(debug, "created", session = ?id, "session created"),
            Self::Renewed { from, to, login } => {
                emit!(debug, "renewed", session = ?to, before = ?from, login, "session has a new id");
            }
            Self::Ended { session, reason } => {
                emit!(
                    debug,
                    "ended",
                    ?session,
                    reason = reason.name(),
                    "session ended"
                );
            }
            Self::OwnerEnded { count } => {
                emit!(debug, "owner_ended", count, "sessions of an owner deleted");
            }
            Self::Changed(id) => emit!(debug, "changed", session = ?id, "session changed"),
            Self::Refreshed(id) => emit!(trace, "refreshed", session = ?id, "session refreshed"),
            Self::Removed => emit!(debug, "removed", "session cookie removed"),
            Self::Rejected(reason) => {
                let (name, told) = (reason.name(), "session cookie rejected");
                match reason {
                    // authentic but not a session: another program has the secret
                    Reason::Malformed => emit!(error, "rejected", reason = name, "{told}"),
                    Reason::Forged | Reason::Future | Reason::Ambiguous | Reason::RolledBack => {
                        emit!(warn, "rejected", reason = name, "{told}");
                    }
                    _ => emit!(debug, "rejected", reason = name, "{told}"),
                }
            }
            Self::Reused { session, ends } => emit!(
                warn,
                "reused",
                ?session,
                ends,
                "cookie used long after `renew` replaced it: it was copied, or the response with \
                 the new one was lost"
            ),
            Self::EndsForgotten { count } => emit!(
                warn,
                "ends_forgotten",
                count,
                "more than 100000 sessions ended while older requests are in flight: the oldest \
                 ends are forgotten, and such a request can restore its session"
            ),
            Self::UnknownKeys { count, keys, ours } => emit!(
                warn,
                "unknown_keys",
                count,
                keys,
                ours = ours.map(tracing::field::display),
                "session cookies sealed with other keys: normal for some minutes while a secret is \
                 replaced; if it goes on, an instance has another secret, or a fallback was removed \
                 too early: compare SESSION_SECRET and SESSION_SECRET_FALLBACKS of all instances"
            ),
            Self::LegacyRead { count } => {
                emit!(
                    info,
                    "legacy_read",
                    count,
                    "session read from the legacy cookie"
                );
            }
            Self::LegacyRejected(reason) => {
                let (name, told) = (reason.name(), "legacy cookie rejected");
                match reason {
                    Reason::Malformed => emit!(warn, "legacy_rejected", reason = name, "{told}"),
                    _ => emit!(debug, "legacy_rejected", reason = name, "{told}"),
                }
            }
            Self::LegacyForged { count } => emit!(
                warn,
                "legacy_forged",
                count,
                "legacy cookies signed with another secret: if it goes on, compare the secrets of \
                 this layer with the `secret_key` of the legacy app"
            ),
            Self::LegacyLoggedOut(id) => {
                emit!(debug, "legacy_logged_out", session = ?id, "session ended by the legacy app");
            }
            Self::LegacyLeftOut => emit!(
                warn,
                "legacy_left_out",
                "entries of a legacy session left out: their keys are empty or longer than 255 bytes"
            ),
            Self::Signed { cookie } => emit!(
                info,
                "signed",
                cookie,
                "sessions are signed but not encrypted: anyone who has the cookie can read it"
            ),
            Self::WeakLegacy => emit!(
                warn,
                "legacy_secret",
                "the legacy secret is weak or published: \
                 anyone who knows it can forge sessions until its cookies are no longer accepted"
            ),
            Self::Dropped(reason) => {
                emit!(
                    info,
                    "dropped",
                    reason = reason.name(),
                    "session changes dropped"
                );
            }
            Self::LateWrite { method } => emit!(
                warn,
                "late_write",
                method,
                "session changed after it was sent: the change has no effect"
            ),
            Self::Failed(cause) => {
                let (kind, error, told) = (cause.kind(), Chain(cause), "session error as response");
                match cause.status() {
                    // another request or the store is the reason, and a retry may succeed
                    StatusCode::SERVICE_UNAVAILABLE => {
                        emit!(warn, "failed", ?kind, %error, "{told}");
                    }
                    _ => emit!(error, "failed", ?kind, %error, "{told}"),
                }
            }
            Self::Overflowed(id) => {
                emit!(debug, "overflowed", session = ?id, "session moved from its cookie to the store");
            }
            Self::MovedToStore(id) => {
                emit!(debug, "moved_to_store", session = ?id, "session moved to the store");
            }
            Self::MovedToCookie(id) => {
                emit!(debug, "moved_to_cookie", session = ?id, "session moved to its cookie");
            }
            Self::Adopted(id) => {
                emit!(debug, "adopted", session = ?id, "session moved from the old store");
            }
            Self::OldIdTaken(id) => {
                emit!(info, "old_id_taken", session = ?id, "imported session taken by its old id");
            }
            Self::Unreadable { session, reason } => {
                let key = reason.key().map(tracing::field::display);
                let told = match key {
                    Some(_) => {
                        "stored session sealed with another key: neither read nor changed; add its \
                         secret to SESSION_SECRET_FALLBACKS of every instance"
                    }
                    None => {
                        "stored session moved or changed by another program: \
                         neither read nor changed"
                    }
                };
                let reason = reason.name();
                emit!(error, "unreadable", ?session, reason, key, "{told}");
            }
            Self::LogoutIncomplete => emit!(
                error,
                "logout_incomplete",
                "logout did not reach the session store or the log of revocations: a copy of the cookie \
                 is still valid"
            ),
            Self::StoreFailed { call, kind, error } => {
                let error = Chain(error);
                emit!(
                    error,
                    "store_failed",
                    call,
                    kind,
                    %error,
                    "call to the session store failed"
                );
            }
            Self::RevocationsFailed { call, kind, error } => {
                let error = Chain(error);
                emit!(
                    error,
                    "revocations_failed",
                    call,
                    kind,
                    %error,
                    "call to the log of revocations failed"
                );
            }
            Self::RevocationsStale { refuses } => emit!(
                error,
                "revocations_stale",
                refuses,
                "the log of revocations was not read for too long: sessions that ended on other \
                 instances are not known here"
            ),
            Self::RevocationsRead => {
                emit!(
                    info,
                    "revocations_read",
                    "the log of revocations can be read again"
                );
            }
            Self::RevocationsLost { count } => emit!(
                error,
                "revocations_lost",
                count,
                "the log of revocations had lost entries: this instance added again those that it holds"
            ),
            Self::RevocationUnreadable => emit!(
                error,
                "revocation_unreadable",
                "entry of the log of revocations ignored: another program or a newer release wrote it"
            ),
            Self::Unrevocable { cookie } => emit!(
                info,
                "unrevocable",
                cookie,
                "sessions are in cookies without a log of revocations: after a logout, a copy of \
                 the cookie is valid on other instances, and here after a minute, until it expires"
            ),
            Self::CheckFailed { cause, error } => {
                let error = Chain(error);
                emit!(
                    error,
                    "check_failed",
                    cause,
                    %error,
                    "the app's check of an owner failed"
                );
            }
            Self::StoreDefault { url } => emit!(
                info,
                "store_default",
                url,
                "REDIS_URL is not set: using the default server"
            ),
            Self::StoreEvicts { policy } => emit!(
                warn,
                "store_evicts",
                policy,
                "Redis evicts sessions when its memory is full: set maxmemory-policy to noeviction"
            ),
            Self::Pruned { count } => {
                emit!(
                    debug,
                    "pruned",
                    count,
                    "expired sessions pruned from the store"
                );
            }
            Self::Nested { cookie } => emit!(
                warn,
                "nested",
                cookie,
                "session layer ignored: a layer around it has the same cookie name and other settings"
            ),
            Self::Clock => emit!(error, "clock", "the clock shows a time before 1970"),
            Self::Ephemeral => emit!(
                warn,
                "ephemeral_secret",
                "SESSION_SECRET is not set: using a random secret, so sessions end with this process"
            ),
            Self::Insecure { cookie } => emit!(
                warn,
                "insecure",
                cookie,
                "session cookies are sent over plain HTTP: for development only"
            ),
            Self::Unprefixed { cookie } => emit!(
                warn,
                "unprefixed",
                cookie,
                "the session cookie's name has no prefix: sibling hosts can plant it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn the_guide_lists_every_event_with_its_levels() {
        let source = include_str!("trace.rs");
        let source = source.split("mod tests").next().expect("a first part");
        let emitted = source.split("emit!(").skip(1).map(|call| {
            let (level, rest) = call.split_once(',').expect("a level");
            let name = rest.split('"').nth(1).expect("a name");
            (name, level.trim())
        });
        let emitted: BTreeSet<_> = emitted.collect();
        let rows = include_str!("../guide/events.md").lines();
        let listed = rows.filter_map(|row| {
            let (name, rest) = row.strip_prefix("| `")?.split_once("` | ")?;
            // the page lists metrics too
            (!name.starts_with("session_")).then_some((name, rest.split(' ').next()?))
        });
        let mut listed: BTreeSet<_> = listed.collect();
        listed.remove(&("event", "level"));
        assert_eq!(emitted, listed);
        assert!(emitted.len() > 30);
    }
}
