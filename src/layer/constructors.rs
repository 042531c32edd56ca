//! Layers and builders with given keys, or with the settings of the environment.

use super::{builder::SessionLayerBuilder, session_layer::SessionLayer};
use crate::{
    event::Event,
    key::{EnvError, KeyRing, flag, is_silent},
    metrics::Metrics,
};

impl SessionLayer {
    /// A layer with the default settings: the cookie `__Host-Http-session`, an idle timeout of one
    /// hour and an absolute timeout of one day.
    #[must_use]
    pub fn new(keys: KeyRing) -> Self {
        Self::with_defaults(Self::builder(keys))
    }

    /// A builder with these keys and the default settings.
    pub fn builder(keys: KeyRing) -> SessionLayerBuilder {
        SessionLayerBuilder::new(keys)
    }

    /// A layer with the secrets of the environment, see [`KeyRing::from_env`], and with
    /// [`insecure_http`](SessionLayerBuilder::insecure_http) if `SESSION_INSECURE_HTTP` is `1`.
    ///
    /// For other settings, begin with [`SessionLayerBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// Each mistake has its own error, which names the variable, the fault and the command that
    /// fixes it.
    pub fn from_env() -> Result<Self, EnvError> {
        SessionLayerBuilder::from_env().map(Self::with_defaults)
    }

    /// Like [`from_env`](Self::from_env), for development: if the environment has no secret, a
    /// random one is used, and an event warns of it. Sessions then end with the process. A secret
    /// that is set must be valid.
    ///
    /// # Errors
    ///
    /// The errors of [`from_env`](Self::from_env), but a missing secret is no error.
    pub fn from_env_or_ephemeral() -> Result<Self, EnvError> {
        SessionLayerBuilder::from_env_or_ephemeral().map(Self::with_defaults)
    }

    fn with_defaults(builder: SessionLayerBuilder) -> Self {
        builder
            .build()
            .expect("the defaults are valid, with and without HTTPS")
    }
}

impl SessionLayerBuilder {
    /// A builder with the settings of the environment: the secrets, see [`KeyRing::from_env`], and
    /// [`insecure_http`](Self::insecure_http) if `SESSION_INSECURE_HTTP` is `1`.
    ///
    /// # Errors
    ///
    /// Each mistake has its own error; see [`EnvError`].
    pub fn from_env() -> Result<Self, EnvError> {
        Self::new(KeyRing::from_env()?).env_flags()
    }

    /// Like [`from_env`](Self::from_env), for development: if the environment has no secret, a
    /// random one is used. Sessions then end with the process.
    ///
    /// # Errors
    ///
    /// The errors of [`from_env`](Self::from_env), but a missing secret is no error.
    pub fn from_env_or_ephemeral() -> Result<Self, EnvError> {
        if !is_silent(&|name| std::env::var_os(name)) {
            return Self::from_env();
        }
        let keys = KeyRing::ephemeral().map_err(EnvError::entropy)?;
        Event::Ephemeral.emit(Metrics::of_process());
        Self::new(keys).env_flags()
    }

    fn env_flags(mut self) -> Result<Self, EnvError> {
        self.cookie.insecure_http = flag("SESSION_INSECURE_HTTP", &|name| std::env::var_os(name))?;
        Ok(self)
    }
}
