//! The settings of the app's own check of owners.

use std::{error::Error as StdError, time::Duration};

use http::request::Parts;

use super::{
    builder::SessionLayerBuilder, owner_settings::OwnerSettings, session_layer::SessionLayer,
};
use crate::request::Check;

/// # With a check
///
/// Needs the feature `check`, and a Tokio runtime whose timer is enabled. The
/// [builder](SessionLayerBuilder) has the same methods, in any order.
impl SessionLayer {
    /// Lets the app decide on each request whether the owner of the session may use it: whether the
    /// account is disabled, or whether the session belongs to this tenant or to this client
    /// certificate.
    ///
    /// `check` is an async function or closure. It gets the owner, and the request as this layer
    /// sees it: its head, with the extensions of outer layers. It runs when a handler opens a
    /// session that has an owner, at most once for each request. A request that does not use its
    /// session does not run it, and neither does a `login`.
    ///
    /// - `Ok(true)`: the owner may use the session.
    /// - `Ok(false)`: the visitor is anonymous in this request, with an event `rejected`. The
    ///   cookie stays as it is. If the handler writes something, a new session begins. A `login`
    ///   takes no entries over. With a store, a `login` or `logout` ends the refused session.
    /// - An error, a panic, or no answer within [`check_timeout`](Self::check_timeout): the handler
    ///   gets no session. The response is a 503, and the event `check_failed` tells the cause.
    ///
    /// ```
    /// use std::{collections::HashSet, convert::Infallible, sync::{Arc, RwLock}};
    /// use http::{header::HOST, request::Parts};
    /// use tower_sealed_session::{KeyRing, SessionLayer};
    ///
    /// // a disabled account
    /// let disabled = Arc::new(RwLock::new(HashSet::<String>::new()));
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).check({
    ///     let disabled = disabled.clone();
    ///     async move |owner: String, _: Parts| match disabled.read() {
    ///         Ok(disabled) => Ok(!disabled.contains(&owner)),
    ///         Err(_) => Err("the list of disabled accounts is lost"),
    ///     }
    /// });
    ///
    /// // owners such as `shop.example/ada`, whose sessions open at that host only
    /// async fn is_at_home(owner: String, request: Parts) -> Result<bool, Infallible> {
    ///     let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    ///     let tenant = owner.split_once('/').map(|(tenant, _)| tenant);
    ///     Ok(tenant.is_some() && tenant == host)
    /// }
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).check(is_at_home);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// [`Session::still_valid`](crate::Session::still_valid) runs it again: for as long as a socket
    /// is open, it asks with the request that opened the socket.
    /// [`SessionLayer::open`](Self::open) runs it with a request that has only the given headers.
    /// The helpers of [`testing`](crate::testing) do not run it. If it is set twice, the last one
    /// counts.
    ///
    /// # Security
    ///
    /// A check is as fresh as what it reads: a cached list admits for as long as it is cached. The
    /// text of its error becomes an event, so it must not contain the owner. It must not block the
    /// thread, since a time limit cannot end that.
    #[must_use]
    pub fn check<F, Fut, E>(self, check: F) -> Self
    where
        F: FnOnce(String, Parts) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.with_owners(OwnerSettings {
            check: Some(Check::new(check)),
            ..OwnerSettings::default()
        })
    }

    /// The maximum time of a [`check`](Self::check). Default: 5 seconds.
    ///
    /// # Panics
    ///
    /// If the layer has no check yet. If the time is not between one millisecond and one minute.
    #[must_use]
    #[track_caller]
    pub fn check_timeout(self, timeout: Duration) -> Self {
        self.with_owners(OwnerSettings {
            check_timeout: Some(timeout),
            ..OwnerSettings::default()
        })
    }
}

/// # With a check
///
/// With the feature `check`.
impl SessionLayerBuilder {
    /// Lets the app decide on each request whether the owner of the session may use it; see
    /// [`SessionLayer::check`].
    pub fn check<F, Fut, E>(mut self, check: F) -> Self
    where
        F: FnOnce(String, Parts) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.owners.check = Some(Check::new(check));
        self
    }

    /// The maximum time of a check. Default: 5 seconds; see [`SessionLayer::check_timeout`].
    pub fn check_timeout(mut self, timeout: Duration) -> Self {
        self.owners.check_timeout = Some(timeout);
        self
    }
}
