use std::{
    fmt,
    sync::{Arc, Once},
};

use tower_layer::Layer;

use super::{ConfigError, legacy};
use crate::{
    clock::{self, Clock},
    compat::{LegacyCookie, object_len},
    cookie::MAX_PAIR,
    event::Event,
    random,
    service::SessionService,
    session::{Measure, Rules},
    slot::{Form, Settings},
};

/// Keeps each visitor's session in another system's own cookie, so that both systems read and write one session: **signed,
/// not encrypted, and not revocable**.
///
/// For apps that stay side by side behind one proxy. Handlers use [`Session`](crate::Session) as ever. What differs is what
/// that system's format gives:
///
/// - Whoever has the cookie reads it, and so does whoever sees a log of it: put nothing personal into it.
/// - The session lives for the old `max_age` from its last write, here as there; there is no idle limit, and
///   [`remember`](crate::Session::remember) changes nothing.
/// - [`owner`](crate::Session::owner) is what [`LegacyCookie::owner`] reads. `login` wants that entry to be inserted as well: what
///   says of nobody, or another, whose session it is, is not sent, and the response is an error
///   ([`ErrorKind::OwnerNotShared`](crate::ErrorKind::OwnerNotShared)).
/// - [`id`](crate::Session::id) names the session of this request alone: nothing in the cookie names it.
/// - A logout removes the cookie, and no more: a copy of it is valid until it is `max_age` old.
///
/// ```
/// use std::time::Duration;
/// use tower_sealed_session::{SignedSessionLayer, compat::{LegacyCookie, Starlette}};
///
/// let shared = LegacyCookie::new(Starlette::new(["the secret_key of both"])?, Duration::from_secs(14 * 24 * 3600));
/// let sessions = SignedSessionLayer::new(shared)?;
/// assert_eq!(sessions.cookie_name(), "session");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SignedSessionLayer {
    settings: Arc<Settings>,
}

impl SignedSessionLayer {
    /// A layer that speaks the format of that cookie.
    ///
    /// # Errors
    ///
    /// A name, path, domain or combination that cannot be.
    pub fn new(cookie: LegacyCookie) -> Result<Self, ConfigError> {
        Self::with(cookie, clock::Source::System)
    }

    /// The same, which takes the time from `clock`.
    ///
    /// # Errors
    ///
    /// As with [`new`](Self::new).
    pub fn with_clock(cookie: LegacyCookie, clock: impl Clock) -> Result<Self, ConfigError> {
        Self::with(cookie, clock::Source::Custom(Arc::new(clock)))
    }

    fn with(cookie: LegacyCookie, clock: clock::Source) -> Result<Self, ConfigError> {
        let legacy = legacy::resolve(cookie)?;
        Event::Signed {
            cookie: legacy.template.name(),
        }
        .emit();
        let measured = legacy.clone();
        let settings = Settings {
            template: legacy.template.clone(),
            rules: Rules {
                timeouts: legacy.timeouts(),
                limit: MAX_PAIR,
                measure: Measure::Signed(Arc::new(move |sizes| {
                    measured.pair_len(object_len(sizes))
                })),
                draw: random::from_system,
                #[cfg(feature = "store")]
                replays: false,
            },
            form: Form::Signed(legacy),
            browser_session: false,
            clock,
            random: random::from_thread,
            nested: Once::new(),
        };
        Ok(Self {
            settings: Arc::new(settings),
        })
    }

    /// The name of the cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.settings.template.name()
    }
}

impl<S> Layer<S> for SignedSessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.settings.clone())
    }
}

impl fmt::Debug for SignedSessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedSessionLayer")
            .field("cookie_name", &self.cookie_name())
            .finish_non_exhaustive()
    }
}
