//! Which settings are possible, alone and together.

use std::{fmt, time::Duration};

use tower_cookies::cookie::SameSite;

use super::{
    SessionLayerBuilder,
    builder::{DAY, HOUR},
};
use crate::{
    clock::Millis,
    cookie::{Attributes, CookieName, Prefix},
    expiry::Timeouts,
};

/// Times in a record are seconds in 32 bits.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Browsers ignore an attribute whose value is longer (RFC 6265bis §5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// Settings that cannot be, alone or together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting's value is impossible.
    Invalid {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it, and what it may be.
        reason: &'static str,
    },
    /// Two settings exclude each other.
    Conflict {
        /// One of them.
        setting: &'static str,
        /// The other.
        other: &'static str,
        /// Why, and what to do.
        reason: &'static str,
    },
}

impl SessionLayerBuilder {
    pub(super) fn checked_prefix(&self) -> Result<Prefix, ConfigError> {
        let everywhere = self.path == "/" && self.domain.is_none();
        let prefix = self
            .prefix
            .unwrap_or(match (self.insecure_http, everywhere) {
                (true, _) => Prefix::None,
                (false, true) => Prefix::Host,
                (false, false) => Prefix::Secure,
            });
        let conflict = |other, reason| {
            Err(ConfigError::Conflict {
                setting: "prefix",
                other,
                reason,
            })
        };
        match prefix {
            Prefix::Host | Prefix::Secure if self.insecure_http => conflict(
                "insecure_http",
                "browsers take prefixed cookies with `Secure` alone; `SESSION_INSECURE_HTTP=1` sets it, too",
            ),
            Prefix::Host if self.domain.is_some() => conflict(
                "domain",
                "`__Host-` cookies belong to one host; use `Prefix::Secure`, or no domain",
            ),
            Prefix::Host if self.path != "/" => conflict(
                "path",
                "`__Host-` cookies have the path `/`; use `Prefix::Secure`, or no path",
            ),
            _ => Ok(prefix),
        }
    }

    pub(super) fn checked_audience(&self) -> Result<&str, ConfigError> {
        match self.audience.len() {
            0..=MAX_ATTRIBUTE => Ok(&self.audience),
            _ => Err(ConfigError::invalid("audience", "it may have 1024 bytes")),
        }
    }

    pub(super) fn checked_name(&self, prefix: Prefix) -> Result<CookieName, ConfigError> {
        let name = self.name.to_ascii_lowercase();
        if ["__host-", "__secure-", "__http-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            return Err(ConfigError::invalid(
                "name",
                "leave the prefix out and set it with `prefix`",
            ));
        }
        CookieName::new(prefix, &self.name).ok_or(ConfigError::invalid(
            "name",
            "it may have letters, digits and !#$%&'*+-.^_`|~, with its prefix at most 128",
        ))
    }

    pub(super) fn checked_attributes(&self) -> Result<Attributes, ConfigError> {
        if self.insecure_http {
            let conflict = |setting, reason| {
                Err(ConfigError::Conflict {
                    setting,
                    other: "insecure_http",
                    reason,
                })
            };
            if self.partitioned {
                return conflict(
                    "partitioned",
                    "browsers take partitioned cookies with `Secure` alone; `SESSION_INSECURE_HTTP=1` sets it, too",
                );
            }
            if self.same_site == SameSite::None {
                return conflict(
                    "same_site",
                    "browsers take `SameSite=None` with `Secure` alone; `SESSION_INSECURE_HTTP=1` sets it, too",
                );
            }
        }
        let attributes = Attributes {
            path: self.path.clone(),
            domain: self.domain.clone(),
            same_site: self.same_site,
            secure: !self.insecure_http,
            partitioned: self.partitioned,
        };
        check_attributes(&attributes, ["path", "domain"])?;
        Ok(attributes)
    }

    pub(super) fn checked_timeouts(&self) -> Result<Timeouts, ConfigError> {
        let millis = |setting, timeout: Duration| {
            if timeout < Duration::from_secs(1) {
                return Err(ConfigError::invalid(
                    setting,
                    "it is at least one second; for a cookie that ends with the browser use `browser_session`",
                ));
            }
            if timeout > LONGEST {
                return Err(ConfigError::invalid(setting, "it is at most 136 years"));
            }
            Ok(Millis::try_from(timeout.as_millis()).expect("136 years fit"))
        };
        let idle = millis("idle_timeout", self.idle_timeout.unwrap_or(HOUR))?;
        let absolute = millis("absolute_timeout", self.absolute_timeout.unwrap_or(DAY))?;
        let max_remember = millis("max_remember", self.max_remember)?;
        Ok(Timeouts {
            idle: Some(idle).filter(|idle| *idle < absolute),
            absolute,
            max_remember,
        })
    }
}

/// Whether path and domain, which are the settings of those names, are what a cookie may have.
pub(super) fn check_attributes(
    attributes: &Attributes,
    [path, domain]: [&'static str; 2],
) -> Result<(), ConfigError> {
    let Attributes {
        path: path_value,
        domain: domain_value,
        ..
    } = attributes;
    let is_value = |text: &str| {
        text.len() <= MAX_ATTRIBUTE && text.bytes().all(|b| matches!(b, 0x20..0x7f) && b != b';')
    };
    if !path_value.starts_with('/') || !is_value(path_value) {
        return Err(ConfigError::invalid(
            path,
            "it begins with `/` and may have 1024 ASCII characters other than `;`",
        ));
    }
    let is_domain = |domain: &str| {
        let host = domain.strip_prefix('.').unwrap_or(domain);
        let labels = host.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
        host.len() <= 253 && labels
    };
    if !domain_value.as_deref().is_none_or(is_domain) {
        return Err(ConfigError::invalid(
            domain,
            "it is a host name of letters, digits, `-` and `.`, international ones as Punycode",
        ));
    }
    Ok(())
}

impl ConfigError {
    fn invalid(setting: &'static str, reason: &'static str) -> Self {
        Self::Invalid { setting, reason }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { setting, reason } => write!(f, "`{setting}` is impossible: {reason}"),
            Self::Conflict {
                setting,
                other,
                reason,
            } => {
                write!(f, "`{setting}` and `{other}` exclude each other: {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}
