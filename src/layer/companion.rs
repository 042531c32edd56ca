//! The checks of the legacy cookie.

use std::sync::Arc;

use cookie::SameSite;
use time::OffsetDateTime;

use super::{
    check::{TimeoutSettings, check_attributes},
    error::ConfigError,
};
use crate::{
    clock,
    compat::{Companion, Legacy, LegacyCookie, Mode},
    cookie::Attributes,
};

/// The legacy cookie that a builder was given.
pub(super) struct LegacySettings {
    pub(super) cookie: LegacyCookie,
    pub(super) mode: Mode,
    pub(super) until: OffsetDateTime,
}

/// The legacy cookie of a builder, which has at most one.
pub(super) fn only(legacy: Vec<LegacySettings>) -> Result<Option<LegacySettings>, ConfigError> {
    let mut legacy = legacy.into_iter();
    let (first, second) = (legacy.next(), legacy.next());
    let (Some(one), Some(other)) = (&first, &second) else {
        return Ok(first);
    };
    let reason = "a layer has one legacy cookie";
    match one.mode == other.mode {
        true => ConfigError::invalid(one.setting(), reason),
        false => ConfigError::conflict(one.setting(), other.setting(), reason),
    }
}

impl LegacySettings {
    /// The name of the method that sets them.
    fn setting(&self) -> &'static str {
        match self.mode {
            Mode::Migrate => "migrate",
            Mode::Dual => "dual_write",
        }
    }

    /// Checks the settings. `name` and `ours` are the name and the attributes of our cookie.
    pub(super) fn check(
        self,
        timeouts: &TimeoutSettings,
        name: &str,
        ours: &Attributes,
    ) -> Result<Companion, ConfigError> {
        let Self {
            cookie,
            mode,
            until,
        } = self;
        timeouts
            .must_be_set("with a legacy cookie it must be set; begin with the legacy `max_age`")?;
        let old = &cookie.attributes;
        let same_place =
            cookie.name == name && (&old.path, &old.domain) == (&ours.path, &ours.domain);
        if mode == Mode::Dual {
            if same_place {
                return ConfigError::conflict(
                    "dual_write",
                    "name",
                    "the two cookies need different names; \
                     note that `SESSION_INSECURE_HTTP=1` removes the prefix",
                );
            }
            check_reach(old, ours)?;
        }
        Ok(Companion {
            legacy: resolve(cookie)?,
            mode,
            until: clock::millis(until),
            same_place,
        })
    }
}

/// Checks that browsers send the legacy cookie with every request that has our cookie. If it were
/// missing, the layer would assume that the visitor has logged out of the legacy app.
fn check_reach(old: &Attributes, ours: &Attributes) -> Result<(), ConfigError> {
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
    ConfigError::conflict(
        "dual_write",
        other,
        "browsers must send the legacy cookie wherever they send ours; use the legacy app's setting",
    )
}

pub(super) fn resolve(cookie: LegacyCookie) -> Result<Arc<Legacy>, ConfigError> {
    check_attributes(
        &cookie.attributes,
        ["LegacyCookie::path", "LegacyCookie::domain"],
    )?;
    if cookie.attributes.same_site == SameSite::None && !cookie.attributes.secure {
        return ConfigError::conflict(
            "LegacyCookie::same_site",
            "LegacyCookie::https_only",
            "browsers accept `SameSite=None` only with `Secure`",
        );
    }
    if cookie.max_age == 0 {
        return ConfigError::invalid(
            "LegacyCookie::new",
            "the minimum of `max_age` is one second",
        );
    }
    match Legacy::new(cookie) {
        Some(legacy) => Ok(Arc::new(legacy)),
        None => ConfigError::invalid(
            "LegacyCookie::name",
            "use letters, digits and !#$%&'*+-.^_`|~, at most 128 characters",
        ),
    }
}
