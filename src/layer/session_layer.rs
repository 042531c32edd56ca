use std::{
    fmt,
    sync::{Arc, Once},
};

use tower_layer::Layer;

use crate::{request::Config, service::SessionService, stored::Vault};

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
/// A layer is cheap to clone. Layers with different cookie names can be used around one handler. A
/// layer inside another one with the same cookie name does nothing.
#[derive(Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
    /// The keys for a store, which can be added later.
    pub(super) vault: Arc<Vault>,
}

impl SessionLayer {
    pub(super) fn from_parts(config: Config, vault: Vault) -> Self {
        Self {
            config: Arc::new(config),
            vault: Arc::new(vault),
        }
    }

    /// The name of the cookie, including its prefix.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.config.codec.name()
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The keys of the rows in a store.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The configuration, for a change. A changed layer emits its own warning if it is nested.
    pub(crate) fn config_mut(&mut self) -> &mut Config {
        let config = Arc::make_mut(&mut self.config);
        config.nested = Arc::new(Once::new());
        config.unrevocable = Arc::new(Once::new());
        config
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.config.tell_whether_unrevocable();
        SessionService::new(inner, self.config.clone())
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("cookie_name", &self.cookie_name())
            .field("timeouts", &self.config.rules.timeouts)
            .finish_non_exhaustive()
    }
}
