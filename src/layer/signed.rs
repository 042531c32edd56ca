use std::{fmt, sync::Arc};

use http::HeaderMap;
use tower_layer::Layer;

use super::{companion::resolve, error::ConfigError};
use crate::{
    clock::{self, Clock},
    compat::LegacyCookie,
    error::Error,
    event::Event,
    metrics::Metrics,
    random,
    request::{Codec, Config, Slot, Value},
    revocation::EndedSessions,
    service::SessionService,
    session::{Limits, Measure, Rules, SessionView},
};

/// Keeps each visitor's session in the cookie of another system, so that both systems read and
/// write one session. The cookie is **signed, not encrypted, and not revocable**.
///
/// Use it for two apps behind one proxy that both stay in use. Handlers use
/// [`Session`](crate::Session) as with [`SessionLayer`](crate::SessionLayer). The format of the
/// other system makes these differences:
///
/// - Anyone who has the cookie, or a log that contains it, can read it. Keep personal data out of
///   it.
/// - The session lives for the legacy `max_age` from its last write in either app. There is no idle
///   timeout, and [`remember`](crate::Session::remember) has no effect.
/// - [`owner`](crate::Session::owner) is the entry that [`LegacyCookie::owner`] reads. After
///   `login`, insert that entry. If it is missing or names another owner, the session is not sent
///   and the response is an error
///   ([`ErrorKind::OwnerNotShared`](crate::ErrorKind::OwnerNotShared)).
/// - [`id`](crate::Session::id) is a new random id in each request, since the cookie holds no id.
/// - A logout only removes the cookie: a copy of it is valid until it is `max_age` old.
///
/// ```
/// use std::time::Duration;
/// use tower_sealed_session::{SignedSessionLayer, compat::{LegacyCookie, Starlette}};
///
/// let fourteen_days = Duration::from_secs(14 * 24 * 3600);
/// let format = Starlette::new(["the secret_key of both"])?;
/// let shared = LegacyCookie::new(format, fourteen_days);
/// let sessions = SignedSessionLayer::new(shared)?;
/// assert_eq!(sessions.cookie_name(), "session");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SignedSessionLayer {
    config: Arc<Config>,
}

impl SignedSessionLayer {
    /// A layer for this cookie, with the system's clock.
    ///
    /// # Errors
    ///
    /// An invalid name, path or domain, or settings that cannot be combined.
    pub fn new(cookie: LegacyCookie) -> Result<Self, ConfigError> {
        Self::with(cookie, clock::Source::System)
    }

    /// A layer for that cookie which uses `clock`.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new).
    pub fn with_clock(cookie: LegacyCookie, clock: impl Clock) -> Result<Self, ConfigError> {
        Self::with(cookie, clock::Source::Custom(Arc::new(clock)))
    }

    fn with(cookie: LegacyCookie, clock: clock::Source) -> Result<Self, ConfigError> {
        let legacy = resolve(cookie)?;
        let codec = Codec {
            template: legacy.template.clone(),
            browser_session: false,
            value: Value::Signed(legacy.clone()),
        };
        Event::Signed {
            cookie: codec.name(),
        }
        .emit(Metrics::of_process());
        let rules = Rules {
            timeouts: legacy.timeouts(),
            limits: Limits {
                name_len: codec.name().len(),
                measure: Measure::Signed(legacy),
            },
            random: random::Sources::DEFAULT,
            ended: EndedSessions::of_process(),
            end_on_reuse: false,
            logs_changes: false,
            metrics: Metrics::of_process().clone(),
        };
        let config = Config::new(codec, rules, clock);
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Opens the session that the `Cookie` headers bring, only to read it; see
    /// [`SessionLayer::open`](crate::SessionLayer::open).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`](crate::ErrorKind::Entropy) if the system's random source fails.
    pub async fn open(&self, headers: &HeaderMap) -> Result<SessionView, Error> {
        Slot::view(self.config.clone(), headers).await
    }

    /// The name of the cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.config.codec.name()
    }
}

impl<S> Layer<S> for SignedSessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.config.clone())
    }
}

impl fmt::Debug for SignedSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedSessionLayer")
            .field("cookie_name", &self.cookie_name())
            .finish_non_exhaustive()
    }
}
