use http::HeaderMap;

use super::session_layer::SessionLayer;
use crate::{error::Error, request::Slot, session::SessionView};

impl SessionLayer {
    /// Opens the session that the `Cookie` headers bring, only to read it: for a WebSocket, the
    /// metadata of gRPC, a worker, or a test.
    ///
    /// The cookies are checked as in a request, with the same events. A visitor without a valid one
    /// has an empty session. Nothing is changed: no cookie is set, and the session is neither
    /// extended nor moved. With a store, it costs the calls of a request that only reads. A session
    /// that is read from a legacy cookie counts in `legacy_reads`.
    ///
    /// ```
    /// use http::{HeaderMap, header::COOKIE};
    /// use tower_sealed_session::{Error, KeyRing, SessionLayer, testing};
    ///
    /// /// The owner of a socket, from the headers of its handshake.
    /// async fn owner(layer: &SessionLayer, headers: &HeaderMap) -> Result<Option<String>, Error> {
    ///     Ok(layer.open(headers).await?.owner())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?);
    /// let ada = testing::session(&sessions);
    /// ada.login("ada")?;
    /// let headers = HeaderMap::from_iter([(COOKIE, testing::cookie(&sessions, &ada)?)]);
    ///
    /// assert_eq!(owner(&sessions, &headers).await?.as_deref(), Some("ada"));
    /// assert_eq!(owner(&sessions, &HeaderMap::new()).await?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the session is in a store that
    /// cannot be reached or that this layer does not have, or if the layer's check of owners gives
    /// no answer.
    ///
    /// # Security
    ///
    /// Browsers let any site open a WebSocket with the visitor's cookies: check the `Origin` header
    /// first. The view does not notice a later logout: ask
    /// [`still_valid`](SessionView::still_valid) for as long as the socket is open, more than once
    /// a minute.
    pub async fn open(&self, headers: &HeaderMap) -> Result<SessionView, Error> {
        Slot::view(self.config().clone(), headers).await
    }
}
