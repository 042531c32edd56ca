use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{error::Error, request::Slot};

/// A layer that lets only visitors who are logged in reach its routes.
///
/// Others get `401 Unauthorized`, or are sent to the
/// [`login_page`](crate::SessionLayer::login_page), and the service inside is not called. If the
/// session is in a store that cannot be reached, the response is a 503.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_sealed_session::{KeyRing, SessionLayer, require_owner};
///
/// let sessions = SessionLayer::new(KeyRing::ephemeral()?).login_page("/login");
/// let members = Router::new()
///     .route("/orders", get("…"))
///     .route("/address", get("…"))
///     .route_layer(require_owner());
/// let app: Router = Router::new()
///     .route("/login", get("…"))
///     .merge(members)
///     .layer(sessions); // outside
/// # Ok::<(), tower_sealed_session::Error>(())
/// ```
///
/// It asks the innermost session layer around it. In axum, it guards the routes that were added
/// before it: `route_layer` guards only those, and `layer` also the fallback.
#[must_use]
pub fn require_owner() -> RequireOwner {
    RequireOwner {}
}

/// The layer of [`require_owner`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequireOwner {}

/// The service of [`require_owner`].
///
/// The response body must be [`Default`]: a refusal has an empty one.
#[derive(Clone, Debug)]
pub struct RequireOwnerService<S> {
    inner: S,
}

impl<S> Layer<S> for RequireOwner {
    type Service = RequireOwnerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireOwnerService { inner }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireOwnerService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RequireOwnerFuture<S, Request<ReqBody>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let slot = Slot::innermost(request.extensions());
        let owner = Box::pin(async { slot?.owner().await });
        // the one that is ready
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        RequireOwnerFuture {
            state: State::Asking {
                owner,
                call: Some((inner, request)),
            },
        }
    }
}

pin_project! {
    /// The response of a [`RequireOwnerService`].
    pub struct RequireOwnerFuture<S, Req> where S: Service<Req> {
        #[pin]
        state: State<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, F> {
        Asking {
            owner: Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>,
            call: Option<(S, Req)>,
        },
        Answering {
            #[pin]
            answer: F,
        },
    }
}

impl<S, ReqBody, ResBody> Future for RequireOwnerFuture<S, Request<ReqBody>>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answer = match state.as_mut().project() {
                StateProjection::Answering { answer } => return answer.poll(cx),
                StateProjection::Asking { owner, call } => {
                    if let Err(refusal) = ready!(owner.as_mut().poll(cx)) {
                        return Poll::Ready(Ok(refusal.response(ResBody::default())));
                    }
                    let (mut inner, request) = call.take().expect("it is called once");
                    inner.call(request)
                }
            };
            state.set(State::Answering { answer });
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for RequireOwnerFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireOwnerFuture").finish_non_exhaustive()
    }
}
