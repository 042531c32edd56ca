use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::slot::{Commit, Sent, Slot};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        slot: Option<Arc<Slot>>,
        waits: Option<Box<Waits<B>>>,
    }

    impl<F, B> PinnedDrop for ResponseFuture<F, B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(slot) = this.project().slot.take() {
                slot.abandon();
            }
        }
    }
}

/// A response, and the store that has to be told before it goes.
struct Waits<B> {
    response: Response<B>,
    told: Pin<Box<dyn Future<Output = Sent> + Send>>,
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) fn new(inner: F, slot: Option<Arc<Slot>>) -> Self {
        Self {
            inner,
            slot,
            waits: None,
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
        if this.waits.is_none() {
            let mut answer = ready!(this.inner.poll(cx));
            let (Ok(response), Some(slot)) = (&mut answer, &this.slot) else {
                return Poll::Ready(answer);
            };
            match slot.commit(response) {
                Commit::Done => {
                    *this.slot = None;
                    return Poll::Ready(answer);
                }
                Commit::Waits(told) => {
                    let response = std::mem::take(response);
                    *this.waits = Some(Box::new(Waits { response, told }));
                }
            }
        }
        let Some(waits) = this.waits else {
            unreachable!("it waits, or has returned")
        };
        let sent = ready!(waits.told.as_mut().poll(cx));
        let mut response = std::mem::take(&mut waits.response);
        if let Some(slot) = this.slot.take() {
            slot.finish(&mut response, sent);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
