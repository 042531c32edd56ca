use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::request::{Committed, Reply, Slot};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        slot: Option<Arc<Slot>>,
        pending: Option<Box<Pending<B>>>,
    }

    impl<F, B> PinnedDrop for ResponseFuture<F, B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(slot) = this.project().slot.take() {
                slot.abandon();
            }
        }
    }
}

/// A response that waits for the store.
struct Pending<B> {
    response: Response<B>,
    reply: Pin<Box<dyn Future<Output = Reply> + Send>>,
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) fn new(inner: F, slot: Option<Arc<Slot>>) -> Self {
        Self {
            inner,
            slot,
            pending: None,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.pending.is_none() {
            let mut answer = ready!(this.inner.poll(cx));
            let (Ok(response), Some(slot)) = (&mut answer, &this.slot) else {
                return Poll::Ready(answer);
            };
            match slot.commit(response) {
                Committed::Now => {
                    *this.slot = None;
                    return Poll::Ready(answer);
                }
                Committed::Later(reply) => {
                    let response = std::mem::take(response);
                    *this.pending = Some(Box::new(Pending { response, reply }));
                }
            }
        }
        let Some(pending) = this.pending else {
            unreachable!("without one, the response was returned above")
        };
        let reply = ready!(pending.reply.as_mut().poll(cx));
        let mut response = std::mem::take(&mut pending.response);
        if let Some(slot) = this.slot.take() {
            slot.finish(&mut response, reply);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
