//! The slots in a request's extensions: one for each layer around the handler.

use std::sync::Arc;

use http::{Extensions, Request};

use super::{config::Config, slot::Slot, visit::Visit};
use crate::{
    error::{Error, ErrorKind},
    session::Session,
};

/// The slot of the innermost layer, in the request's extensions.
#[derive(Clone)]
struct Innermost(Arc<Slot>);

impl Slot {
    /// Puts a slot into the request. Returns `None` if an outer layer has the same cookie name:
    /// that layer commits.
    pub(crate) fn enter<B>(config: &Arc<Config>, request: &mut Request<B>) -> Option<Arc<Self>> {
        let outer = request.extensions().get::<Innermost>();
        let outer = outer.map(|Innermost(slot)| slot.clone());
        let name = config.codec.name();
        if let Some(same) = outer.as_ref().and_then(|slot| slot.named(name)) {
            if !Arc::ptr_eq(&same.config, config) && !same.config.agrees(config) {
                config.warn_nested();
            }
            return None;
        }
        let visit = Visit::of(config, request);
        let slot = Self::with(config.clone(), request.headers(), outer, visit);
        request.extensions_mut().insert(Innermost(slot.clone()));
        Some(slot)
    }

    /// The slot of the innermost layer.
    pub(crate) fn innermost(extensions: &Extensions) -> Result<Arc<Self>, Error> {
        match extensions.get::<Innermost>() {
            Some(Innermost(slot)) => Ok(slot.clone()),
            None => Err(ErrorKind::MissingLayer.into()),
        }
    }

    fn named<'a>(self: &'a Arc<Self>, name: &str) -> Option<&'a Arc<Self>> {
        let mut slots = std::iter::successors(Some(self), |slot| slot.outer.as_ref());
        slots.find(|slot| slot.config.codec.name() == name)
    }
}

impl Session {
    /// The session of the innermost [`SessionLayer`](crate::SessionLayer) around the service, in
    /// plain Tower.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sealed_session::{Error, Session};
    ///
    /// async fn visits<B>(request: &Request<B>) -> Result<u64, Error> {
    ///     let session = Session::from_extensions(request.extensions()).await?;
    ///     session.update("n", |n| n.unwrap_or(0) + 1)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`], and [`ErrorKind::Unavailable`] if the session is in a store
    /// that cannot be reached or that this layer does not have, or if the layer's check of owners
    /// gives no answer.
    pub async fn from_extensions(extensions: &Extensions) -> Result<Self, Error> {
        Slot::innermost(extensions)?.open().await
    }

    /// The session of the layer with that cookie name, if there are several layers around a
    /// handler.
    ///
    /// `cookie_name` is the full name with its prefix, as
    /// [`SessionLayer::cookie_name`](crate::SessionLayer::cookie_name) returns it.
    ///
    /// ```
    /// use http::Extensions;
    /// use tower_sealed_session::{Error, Session};
    ///
    /// // in axum, `http::Extensions` is an extractor
    /// async fn handler(extensions: Extensions) -> Result<(), Error> {
    ///     let admin = Session::named(&extensions, "__Host-Http-admin").await?;
    ///     admin.renew();
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`from_extensions`](Self::from_extensions).
    pub async fn named(extensions: &Extensions, cookie_name: &str) -> Result<Self, Error> {
        let innermost = extensions.get::<Innermost>();
        match innermost.and_then(|Innermost(slot)| slot.named(cookie_name)) {
            Some(slot) => slot.open().await,
            None => Err(Error::missing_layer(cookie_name)),
        }
    }
}
