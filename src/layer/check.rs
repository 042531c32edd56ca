//! Checks the settings of a builder, each alone and in combination.

use std::time::Duration;

use cookie::SameSite;

use super::error::ConfigError;
use crate::{
    clock::Millis,
    cookie::{Attributes, CookieName, Prefix},
    expiry::Timeouts,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A record holds times as seconds in 32 bits.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Browsers ignore an attribute with a longer value (RFC 6265bis §5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// The settings of the cookie.
pub(super) struct CookieSettings {
    pub(super) name: String,
    pub(super) prefix: Option<Prefix>,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) same_site: SameSite,
    pub(super) partitioned: bool,
    pub(super) insecure_http: bool,
}

/// The timeouts. `None` is the default.
pub(super) struct TimeoutSettings {
    pub(super) idle: Option<Duration>,
    pub(super) absolute: Option<Duration>,
    pub(super) max_remember: Duration,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self {
            name: "session".to_owned(),
            prefix: None,
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            partitioned: false,
            insecure_http: false,
        }
    }
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        Self {
            idle: None,
            absolute: None,
            max_remember: 30 * DAY,
        }
    }
}

impl CookieSettings {
    pub(super) fn check_prefix(&self) -> Result<Prefix, ConfigError> {
        let whole_host = self.path == "/" && self.domain.is_none();
        let default = match (self.insecure_http, whole_host) {
            (true, _) => Prefix::None,
            (false, true) => Prefix::HostHttp,
            (false, false) => Prefix::Secure,
        };
        let prefix = self.prefix.unwrap_or(default);
        let conflict = |other, reason| ConfigError::conflict("prefix", other, reason);
        match prefix {
            Prefix::HostHttp | Prefix::Host | Prefix::Secure if self.insecure_http => conflict(
                "insecure_http",
                "browsers accept prefixed cookies only with `Secure`; \
                 note that `SESSION_INSECURE_HTTP=1` also sets `insecure_http`",
            ),
            Prefix::HostHttp | Prefix::Host if self.domain.is_some() => conflict(
                "domain",
                "cookies with a `__Host-` prefix belong to one host; use `Prefix::Secure`, or no domain",
            ),
            Prefix::HostHttp | Prefix::Host if self.path != "/" => conflict(
                "path",
                "cookies with a `__Host-` prefix have the path `/`; use `Prefix::Secure`, or no path",
            ),
            _ => Ok(prefix),
        }
    }

    pub(super) fn check_name(&self, prefix: Prefix) -> Result<CookieName, ConfigError> {
        let name = self.name.to_ascii_lowercase();
        if ["__host-", "__secure-", "__http-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            return ConfigError::invalid("name", "omit the prefix and set it with `prefix`");
        }
        match CookieName::new(prefix, &self.name) {
            Some(name) => Ok(name),
            None => ConfigError::invalid(
                "name",
                "use letters, digits and !#$%&'*+-.^_`|~, at most 128 characters with the prefix",
            ),
        }
    }

    pub(super) fn check_attributes(&self) -> Result<Attributes, ConfigError> {
        if self.insecure_http {
            let conflict =
                |setting, reason| ConfigError::conflict(setting, "insecure_http", reason);
            if self.partitioned {
                return conflict(
                    "partitioned",
                    "browsers accept partitioned cookies only with `Secure`; \
                     note that `SESSION_INSECURE_HTTP=1` also sets `insecure_http`",
                );
            }
            if self.same_site == SameSite::None {
                return conflict(
                    "same_site",
                    "browsers accept `SameSite=None` only with `Secure`; \
                     note that `SESSION_INSECURE_HTTP=1` also sets `insecure_http`",
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
}

impl TimeoutSettings {
    /// Refuses the defaults.
    pub(super) fn must_be_set(&self, reason: &'static str) -> Result<(), ConfigError> {
        match (self.idle, self.absolute) {
            (None, _) => ConfigError::invalid("idle_timeout", reason),
            (_, None) => ConfigError::invalid("absolute_timeout", reason),
            (Some(_), Some(_)) => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<Timeouts, ConfigError> {
        let millis = |setting, timeout: Duration| {
            if timeout < Duration::from_secs(1) {
                return ConfigError::invalid(
                    setting,
                    "the minimum is one second; \
                     for a cookie that ends with the browser, use `browser_session`",
                );
            }
            if timeout > LONGEST {
                return ConfigError::invalid(setting, "the maximum is 136 years");
            }
            Ok(Millis::try_from(timeout.as_millis()).expect("136 years fit"))
        };
        let idle = millis("idle_timeout", self.idle.unwrap_or(HOUR))?;
        let absolute = millis("absolute_timeout", self.absolute.unwrap_or(DAY))?;
        let max_remember = millis("max_remember", self.max_remember)?;
        Ok(Timeouts {
            idle: Some(idle).filter(|idle| *idle < absolute),
            absolute,
            max_remember,
        })
    }
}

pub(super) fn check_audience(audience: &str) -> Result<(), ConfigError> {
    match audience.len() {
        0..=MAX_ATTRIBUTE => Ok(()),
        _ => ConfigError::invalid("audience", "the maximum is 1024 bytes"),
    }
}

/// Checks path and domain. `path` and `domain` are the names of the settings in errors.
pub(super) fn check_attributes(
    attributes: &Attributes,
    [path, domain]: [&'static str; 2],
) -> Result<(), ConfigError> {
    let is_value = |text: &str| {
        text.len() <= MAX_ATTRIBUTE && text.bytes().all(|b| matches!(b, 0x20..0x7f) && b != b';')
    };
    if !attributes.path.starts_with('/') || !is_value(&attributes.path) {
        return ConfigError::invalid(
            path,
            "it must begin with `/` and have at most 1024 ASCII characters other than `;`",
        );
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
    if !attributes.domain.as_deref().is_none_or(is_domain) {
        return ConfigError::invalid(
            domain,
            "use a host name of letters, digits, `-` and `.`; write international names as Punycode",
        );
    }
    Ok(())
}
