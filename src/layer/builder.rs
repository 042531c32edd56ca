use std::{
    fmt,
    sync::{Arc, Once},
    time::Duration,
};

use tower_cookies::cookie::SameSite;

use super::{ConfigError, SessionLayer};
#[cfg(not(feature = "starlette"))]
use crate::session::Measure;
#[cfg(feature = "store")]
use crate::slot::Vault;
use crate::{
    clock::{self, Clock},
    cookie::{MAX_PAIR, Prefix, Template},
    event::Event,
    key::{Context, EnvError, KeyRing, Purpose, flag, is_silent},
    random,
    session::Rules,
    slot::{Form, Settings},
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

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
    pub(super) audience: String,
    pub(super) name: String,
    pub(super) prefix: Option<Prefix>,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) same_site: SameSite,
    pub(super) partitioned: bool,
    pub(super) insecure_http: bool,
    pub(super) browser_session: bool,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) absolute_timeout: Option<Duration>,
    pub(super) max_remember: Duration,
    pub(super) clock: clock::Source,
    #[cfg(feature = "starlette")]
    pub(super) legacy: Option<crate::compat::Beside>,
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
            idle_timeout: None,
            absolute_timeout: None,
            max_remember: 30 * DAY,
            clock: clock::Source::System,
            #[cfg(feature = "starlette")]
            legacy: None,
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

    /// The same for development: where nothing is said of secrets, a random one that ends with the process.
    ///
    /// # Errors
    ///
    /// Those of [`from_env`](Self::from_env), except that all may be missing.
    pub fn from_env_or_ephemeral() -> Result<Self, EnvError> {
        if !is_silent(&|name| std::env::var_os(name)) {
            return Self::from_env();
        }
        let keys = KeyRing::ephemeral().map_err(EnvError::entropy)?;
        Event::Ephemeral.emit();
        Self::new(keys).env_flags()
    }

    fn env_flags(mut self) -> Result<Self, EnvError> {
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
    ///
    /// A cookie in the field is not replaced by one of another path, domain or partition: browsers send both, and
    /// two sessions at once are nobody. Whoever changes one of these changes the name as well.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to all hosts of that domain. Default: to the host that set it alone.
    ///
    /// Changing it wants a new [`name`](Self::name); see [`path`](Self::path).
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
    ///
    /// Changing it wants a new [`name`](Self::name); see [`path`](Self::path).
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
    /// Using it is any request whose handler asks for it. To spare cookies, it is noted once a tenth of that time or
    /// 5 minutes: whoever returns within nine tenths stays, if it is 10 seconds or more, since whole seconds are
    /// noted. As long as the absolute timeout, or longer, it never applies, and costs no refreshes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// How long a session lives at most, from its creation or login on. Default: 24 hours.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = Some(timeout);
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
        let prefix = self.checked_prefix()?;
        let timeouts = self.checked_timeouts()?;
        let name = self.checked_name(prefix)?;
        let attributes = self.checked_attributes()?;
        let template = Template::new(name, &attributes);
        // any layer opens what a layer with the old system's cookie beside it has sealed
        let purposes = [Purpose::COOKIE, Purpose::TWIN];
        #[cfg(feature = "starlette")]
        let purposes = self.order(purposes);
        let audience = self.checked_audience()?;
        let contexts = purposes.map(|purpose| Context {
            purpose,
            cookie_name: template.name(),
            audience,
        });
        let keys = self.keys.derive_all(&contexts);
        #[cfg(feature = "store")]
        let vault = Arc::new(Vault::derive(&self.keys, template.name(), audience));
        #[cfg(feature = "starlette")]
        let companion = self.checked_companion(template.name(), &attributes)?;
        #[cfg(feature = "starlette")]
        let measure = Self::measure(template.name(), companion.as_ref());
        #[cfg(not(feature = "starlette"))]
        let measure = Measure::Sealed {
            name_len: template.name().len(),
        };
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
            measure,
            draw: random::from_system,
            #[cfg(feature = "store")]
            replays: false,
        };
        Ok(SessionLayer {
            settings: Arc::new(Settings {
                form: Form::Sealed {
                    keys,
                    #[cfg(feature = "starlette")]
                    companion,
                    #[cfg(feature = "store")]
                    vault,
                    #[cfg(feature = "store")]
                    storage: None,
                },
                template,
                rules,
                browser_session: self.browser_session,
                clock: self.clock,
                random: random::from_thread,
                nested: Once::new(),
            }),
        })
    }
}

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("keys", &self.keys)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
