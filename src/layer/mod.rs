mod builder;
mod check;
#[cfg(feature = "starlette")]
mod legacy;
#[cfg(feature = "starlette")]
mod signed;
#[cfg(feature = "store")]
mod store;

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    key::{EnvError, KeyRing},
    service::SessionService,
    slot::Settings,
};

#[cfg(feature = "starlette")]
pub use self::signed::SignedSessionLayer;
pub use self::{builder::SessionLayerBuilder, check::ConfigError};

/// Keeps each visitor's session in one encrypted, signed, expiring cookie.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use tower_sealed_session::{Error, Session, SessionLayer};
///
/// async fn count(session: Session) -> Result<String, Error> {
///     let n: u64 = session.update("n", |n| n.unwrap_or(0) + 1)?;
///     Ok(format!("visit {n}"))
/// }
///
/// let sessions = SessionLayer::from_env()?;
/// let app: Router = Router::new().route("/", get(count)).layer(sessions);
/// # Ok::<(), tower_sealed_session::EnvError>(())
/// ```
///
/// A layer is cheap to clone. Layers of different cookie names stand around one handler side by side; a
/// layer inside another of the same name does nothing.
#[derive(Clone)]
pub struct SessionLayer {
    settings: Arc<Settings>,
}

impl SessionLayer {
    /// A layer with the default settings: the cookie `__Host-session`, one hour of idling, one day in all.
    #[must_use]
    pub fn new(keys: KeyRing) -> Self {
        Self::builder(keys)
            .build()
            .expect("the defaults are possible")
    }

    /// A layer whose settings are to be chosen.
    pub fn builder(keys: KeyRing) -> SessionLayerBuilder {
        SessionLayerBuilder::new(keys)
    }

    /// A layer with the secrets that the environment names, see [`KeyRing::from_env`], and with
    /// [`insecure_http`](SessionLayerBuilder::insecure_http) if `SESSION_INSECURE_HTTP` is `1`.
    ///
    /// For other settings, begin with [`SessionLayerBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// Each mistake has its own error, which says the variable, what is wrong with it, and the command that
    /// fixes it.
    pub fn from_env() -> Result<Self, EnvError> {
        SessionLayerBuilder::from_env().map(Self::with_defaults)
    }

    /// The same for development: where nothing is said of secrets, a random one that ends with the process, and
    /// a warning (an event). What is set must be right all the same.
    ///
    /// # Errors
    ///
    /// Those of [`from_env`](Self::from_env), except that all may be missing.
    pub fn from_env_or_ephemeral() -> Result<Self, EnvError> {
        SessionLayerBuilder::from_env_or_ephemeral().map(Self::with_defaults)
    }

    /// The name of the cookie, prefix and all.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.settings.template.name()
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    #[cfg(test)]
    pub(crate) fn into_settings(self) -> Arc<Settings> {
        self.settings
    }

    fn with_defaults(builder: SessionLayerBuilder) -> Self {
        builder
            .build()
            .expect("the defaults are possible, with and without HTTPS")
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.settings.clone())
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("cookie_name", &self.cookie_name())
            .field("timeouts", &self.settings.rules.timeouts)
            .finish_non_exhaustive()
    }
}
