//! The setting of the login page.

use super::{
    builder::SessionLayerBuilder, owner_settings::OwnerSettings, session_layer::SessionLayer,
};

impl SessionLayer {
    /// Sends visitors without a login to the app's login page, where [`Owner`](crate::Owner) or
    /// [`require_owner`](crate::require_owner()) would answer `401 Unauthorized`.
    ///
    /// Only navigations are sent there, with `303 See Other`: requests with
    /// `Sec-Fetch-Mode: navigate`, or without that header and with `text/html` in `Accept`.
    /// Requests of scripts get the 401. For `GET` and `HEAD`, the query of the login page gets the
    /// wanted path and query as `next`. The handler of the login checks it by
    /// [`same_site_path`](crate::same_site_path).
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use tower::ServiceExt;
    /// use tower_sealed_session::{KeyRing, SessionLayer, require_owner};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).login_page("/login");
    /// let app = Router::new()
    ///     .route("/orders", get("your orders"))
    ///     .route_layer(require_owner())
    ///     .layer(sessions);
    ///
    /// let request = Request::get("/orders?page=2").header("sec-fetch-mode", "navigate");
    /// let response = app.oneshot(request.body(Body::empty())?).await?;
    /// assert_eq!(response.status(), 303);
    /// assert_eq!(response.headers()["location"], "/login?next=/orders%3Fpage%3D2");
    /// # Ok(()) }
    /// ```
    ///
    /// The path is the one that this layer sees. A layer inside of axum's `Router::nest` sees it
    /// without the prefix, so put the layer outside.
    ///
    /// # Panics
    ///
    /// If it is not a path on this site that [`same_site_path`](crate::same_site_path) accepts, or
    /// has a fragment.
    #[must_use]
    #[track_caller]
    pub fn login_page(self, path: impl Into<String>) -> Self {
        self.with_owners(OwnerSettings {
            login_page: Some(path.into()),
            ..OwnerSettings::default()
        })
    }

    #[track_caller]
    pub(super) fn with_owners(mut self, settings: OwnerSettings) -> Self {
        match settings.set(self.config_mut()) {
            Ok(()) => self,
            Err(error) => panic!("{error}"),
        }
    }
}

impl SessionLayerBuilder {
    /// Sends visitors without a login to the app's login page; see [`SessionLayer::login_page`].
    pub fn login_page(mut self, path: impl Into<String>) -> Self {
        self.owners.login_page = Some(path.into());
        self
    }
}
