use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::request::Parts;
use tokio::{sync::OnceCell, time::timeout};

use crate::{error::Error, event::Event, metrics::Metrics};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How long a check may take by default.
const LIMIT: Duration = Duration::from_secs(5);

/// The app's own check of owners, with its time limit.
#[derive(Clone)]
pub(crate) struct Check {
    run: Arc<dyn Run>,
    limit: Duration,
}

/// The answer that a request has got. Extractors that race share it.
#[derive(Default)]
pub(crate) struct Verdict(OnceCell<Result<bool, Error>>);

/// A function of the app, without its types.
trait Run: Send + Sync {
    fn run(&self, owner: String, request: Parts) -> Answer<Result<bool, BoxError>>;
}

impl<F, Fut, E> Run for F
where
    F: FnOnce(String, Parts) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<bool, E>> + Send,
    E: Into<BoxError>,
{
    fn run(&self, owner: String, request: Parts) -> Answer<Result<bool, BoxError>> {
        let check = self.clone();
        Box::pin(async move { check(owner, request).await.map_err(Into::into) })
    }
}

impl Check {
    pub(crate) fn new<F, Fut, E>(check: F) -> Self
    where
        F: FnOnce(String, Parts) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send,
        E: Into<BoxError>,
    {
        Self {
            run: Arc::new(check),
            limit: LIMIT,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whether both are the same function, from clones of one layer.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.run, &other.run)
    }

    /// Whether that owner may use the session.
    pub(crate) async fn ask(
        &self,
        owner: String,
        request: Parts,
        metrics: &Metrics,
    ) -> Result<bool, Error> {
        let answer = caught(|| timeout(self.limit, self.run.run(owner, request)));
        match answer.await {
            Ok(Ok(Ok(admitted))) => Ok(admitted),
            Ok(Ok(Err(error))) => Err(failed(metrics, "error", error)),
            Ok(Err(_)) => Err(self.timed_out(metrics)),
            Err(Panicked) => Err(failed(metrics, "panicked", "it panicked".into())),
        }
    }

    /// Like [`ask`](Self::ask), but once for all extractors of a request. If the one that asks is
    /// dropped, the next one asks again.
    pub(crate) async fn ask_once(
        &self,
        verdict: &Verdict,
        owner: &str,
        request: &Parts,
        metrics: &Metrics,
    ) -> Result<bool, Error> {
        let ask = || self.ask(owner.to_owned(), request.clone(), metrics);
        // the extractor that asks may be one that nobody polls any more
        let answer = caught(|| timeout(2 * self.limit, verdict.0.get_or_init(ask)));
        match answer.await {
            Ok(Ok(answer)) => answer.clone(),
            Ok(Err(_)) => Err(self.timed_out(metrics)),
            Err(Panicked) => Err(failed(
                metrics,
                "panicked",
                "there is no Tokio runtime".into(),
            )),
        }
    }

    fn timed_out(&self, metrics: &Metrics) -> Error {
        let text = format!("it took longer than {:?}", self.limit);
        failed(metrics, "timed_out", text.into())
    }
}

/// The error for a request whose check gave no answer, which is an event too.
fn failed(metrics: &Metrics, cause: &'static str, error: BoxError) -> Error {
    Event::CheckFailed {
        cause,
        error: &*error,
    }
    .emit(metrics);
    Error::unchecked(error)
}

/// A panic. Its text may hold anything, so it is not kept.
struct Panicked;

/// The output of a future, unless it panics or cannot be made.
async fn caught<F: Future>(make: impl FnOnce() -> F) -> Result<F::Output, Panicked> {
    let made = catch_unwind(AssertUnwindSafe(make)).map_err(|_| Panicked)?;
    let mut made = pin!(made);
    // a future that has panicked is not polled again
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| made.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(Err(Panicked)), |polled| polled.map(Ok))
    })
    .await
}
