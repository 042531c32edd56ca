//! The extractors, and [`Error`] as a response. On axum-core.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    error::{Error, ErrorKind},
    owner::Owner,
    session::Session,
};

/// The session of the innermost layer.
///
/// If there is no layer around the handler, the rejection names the missing line. A handler that
/// can work without a session takes a `Result<Session, Error>`.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).await
    }
}

/// `None` if there is no layer around the handler.
impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        match Self::from_extensions(&parts.extensions).await {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.kind() == ErrorKind::MissingLayer => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The owner of the session of the innermost layer.
///
/// The rejection is a `401 Unauthorized`, or leads to the
/// [`login_page`](crate::SessionLayer::login_page) of that layer.
impl<S: Sync> FromRequestParts<S> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::from_extensions(&parts.extensions).await
    }
}

/// `None` if the session has no owner.
impl<S: Sync> OptionalFromRequestParts<S> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        match Self::from_extensions(&parts.extensions).await {
            Ok(owner) => Ok(Some(owner)),
            Err(error) if error.kind() == ErrorKind::NoOwner => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The body is for visitors, so it names only a missing layer: a finished app has one.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let text = match self.kind() {
            ErrorKind::MissingLayer => self.to_string(),
            _ => self
                .status()
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
        };
        self.response(Body::from(text))
    }
}
