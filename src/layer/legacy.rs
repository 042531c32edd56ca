//! The old system's cookie beside ours.

use std::sync::Arc;

use time::OffsetDateTime;
use tower_cookies::cookie::SameSite;

use super::{ConfigError, SessionLayer, SessionLayerBuilder, check};
use crate::{
    clock::Millis,
    compat::{Beside, Companion, Legacy, LegacyCookie, Mode, object_len},
    cookie::Attributes,
    key::Purpose,
    session::Measure,
    slot::Form,
};

/// # Coming from another system
///
/// With the feature `starlette`; see [`guide::starlette`](crate::guide::starlette).
impl SessionLayerBuilder {
    /// Takes over the sessions of an app that is gone: a visitor who has the old cookie and none of ours goes on with what it
    /// holds, as of when it was signed. The next response sets ours and removes the old one.
    ///
    /// From `until` on, the old cookie is nothing. [`idle_timeout`](Self::idle_timeout) and
    /// [`absolute_timeout`](Self::absolute_timeout) have to be set, since they hold for what comes over as well: begin with the
    /// old `max_age`, or the defaults of an hour and a day log out all who were away for longer. Each such visit is
    /// counted: [`SessionLayer::legacy_reads`], and the event `legacy_read`.
    ///
    /// # Security
    ///
    /// Until then, whoever has a copy of an old cookie, or the old secret, comes in with it, after a logout as well: nothing on
    /// the server knows which old cookies ended.
    pub fn migrate(self, old: LegacyCookie, until: OffsetDateTime) -> Self {
        self.beside(old, Mode::Migrate, until)
    }

    /// Keeps an app in the picture that still serves some routes, or may have to again: both cookies are written, and the
    /// newer one is read.
    ///
    /// Whoever logs in or out on one side is in or out on both: the old app logs out by `session.clear()`, or by removing what
    /// [`LegacyCookie::owner`] reads. It learns of a login here by the same entry: insert it after
    /// [`login`](crate::Session::login). Without that closure, a session that the old app has written has no owner.
    ///
    /// From `until` on, the old cookie is neither read nor written; timeouts have to be set, and visits are counted, as with
    /// [`migrate`](Self::migrate), and its limits are the same. What a session holds is also in the old cookie, which anyone
    /// who has it can read.
    ///
    /// # Security
    ///
    /// That of [`migrate`](Self::migrate), and more: while the old cookie is written, whoever keeps it alone is not bound by the absolute
    /// timeout. [`guide::starlette`](crate::guide::starlette) says what a captured or planted one can do.
    pub fn dual_write(self, old: LegacyCookie, until: OffsetDateTime) -> Self {
        self.beside(old, Mode::Dual, until)
    }

    fn beside(mut self, cookie: LegacyCookie, mode: Mode, until: OffsetDateTime) -> Self {
        self.legacy = Some(Beside {
            cookie,
            mode,
            until,
        });
        self
    }

    /// The purpose that seals comes first.
    pub(super) fn order(&self, [alone, twin]: [Purpose; 2]) -> [Purpose; 2] {
        match &self.legacy {
            Some(legacy) if legacy.mode == Mode::Dual => [twin, alone],
            _ => [alone, twin],
        }
    }

    pub(super) fn checked_companion(
        &self,
        name: &str,
        ours: &Attributes,
    ) -> Result<Option<Companion>, ConfigError> {
        let Some(Beside {
            cookie,
            mode,
            until,
        }) = &self.legacy
        else {
            return Ok(None);
        };
        for (setting, timeout) in [
            ("idle_timeout", self.idle_timeout),
            ("absolute_timeout", self.absolute_timeout),
        ] {
            if timeout.is_none() {
                return Err(ConfigError::Invalid {
                    setting,
                    reason: "where sessions come from another system it has to be set; begin with the old `max_age`",
                });
            }
        }
        let old = &cookie.attributes;
        let same_place =
            cookie.name == name && (&old.path, &old.domain) == (&ours.path, &ours.domain);
        if *mode == Mode::Dual {
            if same_place {
                return Err(ConfigError::Conflict {
                    setting: "dual_write",
                    other: "name",
                    reason: "two cookies want two names; `SESSION_INSECURE_HTTP=1` takes the prefix away",
                });
            }
            check_comes_along(old, ours)?;
        }
        let until = until.unix_timestamp_nanos().div_euclid(1_000_000);
        Ok(Some(Companion {
            legacy: resolve(cookie.clone())?,
            mode: *mode,
            until: Millis::try_from(until).unwrap_or(0),
            same_place,
        }))
    }

    /// Each mutator sees to it that both cookies hold the session.
    pub(super) fn measure(name: &str, companion: Option<&Companion>) -> Measure {
        let name_len = name.len();
        match companion {
            Some(Companion {
                legacy,
                mode: Mode::Dual,
                ..
            }) => {
                let legacy = legacy.clone();
                Measure::Twins {
                    name_len,
                    legacy: Arc::new(move |sizes| legacy.pair_len(object_len(sizes))),
                }
            }
            _ => Measure::Sealed { name_len },
        }
    }
}

/// Where ours is sent and the old cookie is not, visitors would seem to have logged out in the old app.
fn check_comes_along(old: &Attributes, ours: &Attributes) -> Result<(), ConfigError> {
    let covers = |old: &str, ours: &str| {
        let rest = ours.strip_prefix(old);
        rest.is_some_and(|rest| old.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    };
    let reaches = |old: Option<&str>, ours: Option<&str>| match (old, ours) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(ours)) => {
            let [old, ours] = [old, ours].map(|name| name.trim_start_matches('.').to_lowercase());
            let rest = ours.strip_suffix(&old);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    };
    let strictness = |same_site| match same_site {
        SameSite::Strict => 2,
        SameSite::Lax => 1,
        SameSite::None => 0,
    };
    let other = if !covers(&old.path, &ours.path) {
        "path"
    } else if !reaches(old.domain.as_deref(), ours.domain.as_deref()) {
        "domain"
    } else if strictness(old.same_site) > strictness(ours.same_site) {
        "same_site"
    } else if old.partitioned != ours.partitioned {
        "partitioned"
    } else if old.secure && !ours.secure {
        "insecure_http"
    } else {
        return Ok(());
    };
    Err(ConfigError::Conflict {
        setting: "dual_write",
        other,
        reason: "the old cookie has to come wherever ours does; set ours as it is set there",
    })
}

pub(super) fn resolve(cookie: LegacyCookie) -> Result<Arc<Legacy>, ConfigError> {
    check::check_attributes(
        &cookie.attributes,
        ["LegacyCookie::path", "LegacyCookie::domain"],
    )?;
    if cookie.attributes.same_site == SameSite::None && !cookie.attributes.secure {
        return Err(ConfigError::Conflict {
            setting: "LegacyCookie::same_site",
            other: "LegacyCookie::https_only",
            reason: "browsers take `SameSite=None` with `Secure` alone",
        });
    }
    Legacy::new(cookie)
        .map(Arc::new)
        .ok_or(ConfigError::Invalid {
            setting: "LegacyCookie::name",
            reason: "it may have letters, digits and !#$%&'*+-.^_`|~, at most 128",
        })
}

impl SessionLayer {
    /// How many sessions were taken from the old system's cookie since the layer was made: when it no longer grows,
    /// [`migrate`](SessionLayerBuilder::migrate) has done its work. Clones count together.
    #[must_use]
    pub fn legacy_reads(&self) -> u64 {
        match &self.settings.form {
            Form::Sealed {
                companion: Some(companion),
                ..
            } => companion.legacy.reads(),
            Form::Sealed { .. } | Form::Signed(_) => 0,
        }
    }
}
