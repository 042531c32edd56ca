//! Going on after a store failed for a moment.

use std::time::{Duration, Instant};

use tower_sealed_session::{Error, ErrorKind};

/// How long a call is repeated: longer than a server takes to restart or to fail over.
const PATIENCE: Duration = Duration::from_secs(20);
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// Repeats a call that may be repeated, while the store fails.
pub(crate) async fn persistently<T, F>(call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        match call().await {
            Err(error) if error.kind() == ErrorKind::Unavailable && start.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = MOST_PAUSE.min(pause * 2);
            }
            answer => return answer,
        }
    }
}
