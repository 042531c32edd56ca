use std::{fmt, sync::Arc, time::Duration};

use tower_cookies::cookie::SameSite;

use super::SessionLayer;
use crate::{
    clock::{self, Clock, Millis},
    cookie::{Attributes, CookieName, MAX_PAIR, Prefix, Template},
    event::Event,
    expiry::Timeouts,
    key::{Context, EnvError, KeyRing, Purpose, flag},
    random,
    session::Rules,
    slot::Settings,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Times in a record are seconds in 32 bits.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Browsers ignore an attribute whose value is longer (RFC 6265bis §5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// The settings of a [`SessionLayer`], checked together by [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use tower_sealed_session::{KeyRing, SessionLayer};
///
/// let keys = KeyRing::ephemeral()?;
/// let sessions = SessionLayer::builder(keys)
///     .name("sid")
///     .idle_timeout(Duration::from_secs(30 * 60))
///     .build()?;
/// assert_eq!(sessions.cookie_name(), "__Host-sid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct SessionLayerBuilder {
    keys: KeyRing,
    audience: String,
    name: String,
    prefix: Option<Prefix>,
    path: String,
    domain: Option<String>,
    same_site: SameSite,
    partitioned: bool,
    insecure_http: bool,
    browser_session: bool,
    idle_timeout: Duration,
    absolute_timeout: Duration,
    max_remember: Duration,
    clock: clock::Source,
}

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
    pub(super) fn new(keys: KeyRing) -> Self {
        Self {
            keys,
            audience: String::new(),
            name: "session".to_owned(),
            prefix: None,
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            partitioned: false,
            insecure_http: false,
            browser_session: false,
            idle_timeout: HOUR,
            absolute_timeout: DAY,
            max_remember: 30 * DAY,
            clock: clock::Source::System,
        }
    }

    /// Begins with what the environment says: the secrets, see [`KeyRing::from_env`], and
    /// [`insecure_http`](Self::insecure_http) if `SESSION_INSECURE_HTTP` is `1`.
    ///
    /// # Errors
    ///
    /// Each mistake has its own error; see [`EnvError`].
    pub fn from_env() -> Result<Self, EnvError> {
        Self::new(KeyRing::from_env()?).env_flags()
    }

    pub(super) fn env_flags(mut self) -> Result<Self, EnvError> {
        self.insecure_http = flag("SESSION_INSECURE_HTTP", &|name| std::env::var_os(name))?;
        Ok(self)
    }

    /// The cookie's name after its [`prefix`](Self::prefix). Default: `session`, that is `__Host-session`.
    ///
    /// Keys are bound to the whole name: with another name, sessions begin anew.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What precedes the name. Default: the strictest that the other settings allow, that is `__Host-`;
    /// `__Secure-` with a `domain` or another `path`; none over plain HTTP.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// For which paths of the host the browser sends the cookie. Default: `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to all hosts of that domain. Default: to the host that set it alone.
    ///
    /// # Security
    ///
    /// Every host of the domain, and whoever takes one over, then receives sessions and can plant them.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether other sites' requests carry the cookie. Default: `Lax`, that is for links to this site alone.
    ///
    /// # Security
    ///
    /// It does not protect a login form, since a forged login needs no cookie; see [`guide::security`](crate::guide::security).
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps one cookie for each site that embeds this one (CHIPS). Default: `false`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Lets the cookie travel over plain HTTP: no `Secure`, no prefix. For development only.
    ///
    /// Browsers need it for hosts other than `localhost`, and Safari for `localhost` as well.
    pub fn insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Lets the browser forget the cookie when it is closed, unless the session is remembered. Default: `false`.
    ///
    /// The timeouts hold all the same: browsers that restore their windows do not forget.
    pub fn browser_session(mut self, browser_session: bool) -> Self {
        self.browser_session = browser_session;
        self
    }

    /// Separates apps that have one secret: what is sealed for one audience is unknown to the others. Default: empty.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// How long a session lives unused. Default: 1 hour.
    ///
    /// Using it is any request whose handler asks for it. As long as the absolute timeout, or longer, it
    /// never applies, and costs no refreshes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a session lives at most, from its creation or login on. Default: 24 hours.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = timeout;
        self
    }

    /// How long a session lives at most that is [remembered](crate::Session::remember). Default: 30 days.
    ///
    /// Browsers keep no cookie longer than 400 days.
    pub fn max_remember(mut self, limit: Duration) -> Self {
        self.max_remember = limit;
        self
    }

    /// Takes the time from `clock`, such as a [`testing::TestClock`](crate::testing::TestClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = clock::Source::Custom(Arc::new(clock));
        self
    }

    /// Checks the settings, derives the keys and makes the layer.
    ///
    /// # Errors
    ///
    /// What is impossible, alone or together, naming the settings:
    ///
    /// ```
    /// use tower_sealed_session::{KeyRing, Prefix, SessionLayer};
    ///
    /// let builder = SessionLayer::builder(KeyRing::ephemeral()?);
    /// let error = builder.prefix(Prefix::Host).domain("example.com").build().unwrap_err();
    /// assert!(error.to_string().contains("prefix") && error.to_string().contains("domain"));
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    pub fn build(self) -> Result<SessionLayer, ConfigError> {
        let prefix = self.check_prefix()?;
        let timeouts = self.timeouts()?;
        let name = self.cookie_name(prefix)?;
        let template = Template::new(name, &self.attributes()?);
        if self.audience.len() > MAX_ATTRIBUTE {
            return Err(ConfigError::invalid("audience", "it may have 1024 bytes"));
        }
        let keys = self.keys.derive(Context {
            purpose: Purpose::COOKIE,
            cookie_name: template.name(),
            audience: &self.audience,
        });
        match prefix {
            _ if self.insecure_http => Event::Insecure {
                cookie: template.name(),
            }
            .emit(),
            Prefix::None => Event::Unprefixed {
                cookie: template.name(),
            }
            .emit(),
            Prefix::Host | Prefix::Secure => {}
        }
        let rules = Rules {
            timeouts,
            limit: MAX_PAIR,
            name_len: template.name().len(),
            draw: random::from_system,
        };
        Ok(SessionLayer {
            settings: Arc::new(Settings {
                keys,
                template,
                rules,
                browser_session: self.browser_session,
                clock: self.clock,
                random: random::from_thread,
            }),
        })
    }

    fn check_prefix(&self) -> Result<Prefix, ConfigError> {
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
                "browsers take prefixed cookies with `Secure` alone; leave one of them out",
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

    fn cookie_name(&self, prefix: Prefix) -> Result<CookieName, ConfigError> {
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
            "it may have 1 to 118 letters, digits and !#$%&'*+-.^_`|~",
        ))
    }

    fn attributes(&self) -> Result<Attributes, ConfigError> {
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
                    "browsers take partitioned cookies with `Secure` alone",
                );
            }
            if self.same_site == SameSite::None {
                return conflict(
                    "same_site",
                    "browsers take `SameSite=None` with `Secure` alone",
                );
            }
        }
        let is_value = |text: &str| {
            text.len() <= MAX_ATTRIBUTE
                && text.bytes().all(|b| matches!(b, 0x20..0x7f) && b != b';')
        };
        if !self.path.starts_with('/') || !is_value(&self.path) {
            return Err(ConfigError::invalid(
                "path",
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
        if !self.domain.as_deref().is_none_or(is_domain) {
            return Err(ConfigError::invalid(
                "domain",
                "it is a host name of letters, digits, `-` and `.`, international ones as Punycode",
            ));
        }
        Ok(Attributes {
            path: self.path.clone(),
            domain: self.domain.clone(),
            same_site: self.same_site,
            secure: !self.insecure_http,
            partitioned: self.partitioned,
        })
    }

    fn timeouts(&self) -> Result<Timeouts, ConfigError> {
        let millis = |setting, timeout: Duration| {
            if timeout < Duration::from_secs(1) {
                return Err(ConfigError::invalid(
                    setting,
                    "it is at least one second; for a cookie that ends with the browser use `browser_session`",
                ));
            }
            if timeout > LONGEST {
                return Err(ConfigError::invalid(
                    setting,
                    "it is at most 2^32 seconds, or 136 years",
                ));
            }
            Ok(Millis::try_from(timeout.as_millis()).expect("136 years fit"))
        };
        let idle = millis("idle_timeout", self.idle_timeout)?;
        let absolute = millis("absolute_timeout", self.absolute_timeout)?;
        let max_remember = millis("max_remember", self.max_remember)?;
        Ok(Timeouts {
            idle: Some(idle).filter(|idle| *idle < absolute),
            absolute,
            max_remember,
        })
    }
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

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("keys", &self.keys)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
