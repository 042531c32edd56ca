use std::{fmt, sync::Arc, time::Duration};

use cookie::SameSite;

use super::{
    check::{CookieSettings, TimeoutSettings, check_audience},
    companion::{LegacySettings, only},
    error::ConfigError,
    old_id_settings::OldIdSettings,
    owner_settings::OwnerSettings,
    session_layer::SessionLayer,
};
use crate::{
    clock::{self, Clock},
    compat::Mode as LegacyMode,
    cookie::{Prefix, Template},
    event::Event,
    key::{Context, KeyRing, Purpose},
    metrics::Metrics,
    random,
    request::{Codec, Config, Value},
    revocation::{EndedSessions, Revocations},
    session::{Limits, Measure, Rules},
    store::Backend,
    stored::{Mode, Vault},
};

/// The settings of a [`SessionLayer`]. [`build`](Self::build) checks them together.
///
/// If a setting is set twice, the last value counts. A store that is set twice is an error, and so
/// are two legacy cookies.
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
/// assert_eq!(sessions.cookie_name(), "__Host-Http-sid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct SessionLayerBuilder {
    keys: KeyRing,
    audience: String,
    pub(super) cookie: CookieSettings,
    timeouts: TimeoutSettings,
    browser_session: bool,
    clock: clock::Source,
    /// Whether the layer does not share the list of sessions that this process ended.
    own_ended: bool,
    end_on_reuse: bool,
    /// Each legacy cookie that was set; more than one is an error.
    pub(super) legacy: Vec<LegacySettings>,
    /// Each store that was set; two are an error, unless sessions move from one to the other.
    pub(super) stores: Vec<(Mode, Backend)>,
    pub(super) store_timeout: Option<Duration>,
    pub(super) old_ids: Option<OldIdSettings>,
    pub(super) revocations: Option<Revocations>,
    pub(super) owners: OwnerSettings,
}

impl SessionLayerBuilder {
    pub(super) fn new(keys: KeyRing) -> Self {
        Self {
            keys,
            audience: String::new(),
            cookie: CookieSettings::default(),
            timeouts: TimeoutSettings::default(),
            browser_session: false,
            clock: clock::Source::System,
            own_ended: false,
            end_on_reuse: false,
            legacy: Vec::new(),
            stores: Vec::new(),
            store_timeout: None,
            old_ids: None,
            revocations: None,
            owners: OwnerSettings::default(),
        }
    }

    /// The cookie's name without its [`prefix`](Self::prefix). Default: `session`, which gives
    /// `__Host-Http-session`.
    ///
    /// Keys are bound to the full name: changing it ends all sessions.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name = name.into();
        self
    }

    /// The prefix of the name. Default: the strictest prefix that the other settings allow. With
    /// `insecure_http`, that is none. With a `domain` or another `path`, it is `__Secure-`.
    /// Otherwise it is `__Host-Http-`.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.cookie.prefix = Some(prefix);
        self
    }

    /// The path of the cookie. Browsers send the cookie with requests to this path and paths below
    /// it. Default: `/`.
    ///
    /// If you change path, domain or partitioning, change the name too. Otherwise browsers keep the
    /// old cookie beside the new one and send both. If two cookies hold different sessions, the
    /// visitor is anonymous.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// The domain of the cookie: browsers send it to all hosts of that domain. Default: only to the
    /// host that set it.
    ///
    /// If you change it, change the [`name`](Self::name) too; see [`path`](Self::path).
    ///
    /// # Security
    ///
    /// Every host of the domain, including one that an attacker takes over, receives sessions and
    /// can plant them.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Whether browsers send the cookie with requests from other sites. Default: `Lax`, which sends
    /// it only when the visitor follows a link to this site.
    ///
    /// # Security
    ///
    /// It does not protect a login form, since a forged login needs no cookie; see
    /// [`guide::security`](crate::guide::security).
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// Whether browsers keep a separate cookie for each site that embeds this one (CHIPS). Default:
    /// `false`.
    ///
    /// Browsers send no cookie to an embedded site unless [`same_site`](Self::same_site) is `None`.
    /// If you change this setting, change the [`name`](Self::name) too; see [`path`](Self::path).
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.cookie.partitioned = partitioned;
        self
    }

    /// Lets browsers send the cookie over plain HTTP. It then has no `Secure` and no prefix. For
    /// development only.
    ///
    /// Over plain HTTP, browsers other than Safari accept the default cookie only for `localhost`,
    /// and Safari does not accept it at all.
    pub fn insecure_http(mut self) -> Self {
        self.cookie.insecure_http = true;
        self
    }

    /// Whether the browser drops the cookie when it is closed, unless the session is remembered.
    /// Default: `false`.
    ///
    /// The timeouts still apply: browsers that restore their windows keep the cookie.
    pub fn browser_session(mut self, browser_session: bool) -> Self {
        self.browser_session = browser_session;
        self
    }

    /// Separates apps that share a secret: a session of one audience does not open in another.
    /// Default: empty.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// How long a session lives without being used. Default: 1 hour.
    ///
    /// A session is used by each request whose handler takes it. To send fewer cookies, the layer
    /// records a use only if the last recorded one is older than a tenth of the timeout, or than 5
    /// minutes if that is less. So a session may expire after nine tenths of the timeout. With a
    /// timeout below 10 seconds, it may expire even earlier, since times are whole seconds. A
    /// timeout that is not shorter than the absolute timeout has no effect and causes no refreshes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = Some(timeout);
        self
    }

    /// The maximum life of a session from its creation or login. Default: 24 hours.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.absolute = Some(timeout);
        self
    }

    /// The maximum life of a session that is [remembered](crate::Session::remember). Default: 30
    /// days.
    ///
    /// It replaces the absolute timeout, even if it is shorter. Browsers keep no cookie for longer
    /// than 400 days.
    pub fn max_remember(mut self, limit: Duration) -> Self {
        self.timeouts.max_remember = limit;
        self
    }

    /// Ends a session when a copy of an earlier cookie of it comes, rather than only emitting the
    /// event `reused`. Needs a store or a log of revocations.
    ///
    /// A cookie counts as a copy if it comes more than a minute after
    /// [`renew`](crate::Session::renew) replaced it. Then either it was copied, and it is not known
    /// which of the two browsers is the visitor's. Or the response with the new cookie was lost:
    /// then this setting logs the visitor out, who would otherwise begin an anonymous session.
    pub fn end_on_reuse(mut self) -> Self {
        self.end_on_reuse = true;
        self
    }

    /// The clock of the layer, such as a [`testing::TestClock`](crate::testing::TestClock).
    /// Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = clock::Source::Custom(Arc::new(clock));
        self
    }

    /// Makes the layer act as in another process: it does not share the list of ended sessions.
    pub(crate) fn own_ended_ids(mut self) -> Self {
        self.own_ended = true;
        self
    }

    /// Checks the settings, derives the keys and builds the layer.
    ///
    /// # Errors
    ///
    /// Invalid settings, and settings that cannot be combined. The error names them:
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
        let prefix = self.cookie.check_prefix()?;
        let timeouts = self.timeouts.check()?;
        let name = self.cookie.check_name(prefix)?;
        let attributes = self.cookie.check_attributes()?;
        check_audience(&self.audience)?;
        let template = Template::new(name, &attributes);
        let name = template.name();
        let companion = match only(self.legacy)? {
            Some(legacy) => Some(legacy.check(&self.timeouts, name, &attributes)?),
            None => None,
        };
        let paired = companion
            .as_ref()
            .filter(|companion| companion.mode == LegacyMode::Dual);
        // a layer opens cookies of both purposes, and seals for the first one
        let purposes = match paired {
            Some(_) => [Purpose::PAIRED, Purpose::COOKIE],
            None => [Purpose::COOKIE, Purpose::PAIRED],
        };
        let keys = self.keys.derive_all(&purposes.map(|purpose| Context {
            purpose,
            cookie_name: name,
            audience: &self.audience,
        }));
        let vault = Vault::derive(&self.keys, name, &self.audience);
        let rules = Rules {
            timeouts,
            limits: Limits {
                name_len: name.len(),
                measure: match paired {
                    Some(companion) => Measure::Paired(companion.legacy.clone()),
                    None => Measure::Sealed,
                },
            },
            random: random::Sources::DEFAULT,
            ended: match (self.own_ended, &self.clock) {
                (false, _) => EndedSessions::of_process(),
                (true, clock::Source::System) => Arc::new(EndedSessions::new(None)),
                (true, clock) => Arc::new(EndedSessions::new(Some(clock.clone()))),
            },
            end_on_reuse: self.end_on_reuse,
            logs_changes: false,
            metrics: Metrics::of_process().clone(),
        };
        let codec = Codec {
            browser_session: self.browser_session,
            value: Value::Sealed {
                keys,
                paired_until: paired.map(|companion| companion.until),
            },
            template,
        };
        let mut config = Config {
            companion,
            ..Config::new(codec, rules, self.clock)
        };
        self.owners.set(&mut config)?;
        let layer = SessionLayer::from_parts(config, vault);
        let layer = layer.with_revocations(self.revocations)?;
        let mut layer = layer.with_stores(self.stores, self.store_timeout)?;
        if let Some(old_ids) = self.old_ids {
            old_ids.set(layer.config_mut(), &self.timeouts, &attributes)?;
        }
        warn_of_prefix(prefix, self.cookie.insecure_http, layer.cookie_name());
        Ok(layer)
    }
}

fn warn_of_prefix(prefix: Prefix, insecure_http: bool, cookie: &str) {
    match prefix {
        _ if insecure_http => Event::Insecure { cookie }.emit(Metrics::of_process()),
        Prefix::None => Event::Unprefixed { cookie }.emit(Metrics::of_process()),
        Prefix::HostHttp | Prefix::Host | Prefix::Secure => {}
    }
}

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("keys", &self.keys)
            .field("name", &self.cookie.name)
            .finish_non_exhaustive()
    }
}
