//! A database server: one call on one of its connections.

mod connections;

use std::{sync::Arc, time::Duration};

use sqlx::{Database, Pool, error::DatabaseError};
use tokio::time::{Instant, timeout};

use self::connections::{Connections, Lent, Options};
use super::fault::failure;
use crate::store::{
    error::{StoreError, StoreErrorKind},
    link::{Link, Server, Verdict, Watch},
};

/// The time limit of the first connection attempt, at start-up.
const FIRST: Duration = Duration::from_secs(5);

/// The lowest and the highest time limit of later connection attempts.
const DIAL: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// How long one step of an operator's task may take. No request waits for it.
pub(super) const STEP: Duration = Duration::from_secs(10);
/// How long counting all rows may take.
pub(super) const COUNT: Duration = Duration::from_secs(600);

/// How much later an entry of a log may appear than one with a higher number. A row gets its number
/// before its statement commits, and statements that run at the same time may commit in another
/// order. The client gives up after 250 ms, but the server may still finish the statement.
pub(super) const OVERLAP: Duration = Duration::from_secs(5);

/// A kind of database server.
pub(super) trait Dialect: Database {
    /// The kind of store, in metrics.
    const KIND: &'static str;

    /// The name in errors.
    const NAME: &'static str;

    /// An example of a URL.
    const URL: &'static str;

    /// Host and port, for errors.
    fn address(options: &Options<Self>) -> String;

    /// Maps an error of the database.
    fn kind(error: &dyn DatabaseError) -> StoreErrorKind;

    /// Fails if the server is too old or accepts no writes.
    fn check(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A database server that is connected again when it returns. Clones share the connections.
pub(super) struct SqlServer<D: Dialect> {
    link: Arc<Link<Connections<D>>>,
}

/// Opens connections.
struct Dialer<D: Dialect> {
    connections: Connections<D>,
    /// The time limit of a connection attempt. It is longer if the first attempt was slow.
    limit: Duration,
}

/// One call.
pub(super) struct Call<D: Dialect> {
    lent: Lent<D>,
    watch: Watch<Connections<D>>,
}

impl<D: Dialect> SqlServer<D> {
    /// Connects for the first time. Errors say what is wrong with the settings.
    pub(super) async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = options::<D>(url)?;
        let address = D::address(&options);
        let mut dialer = Dialer {
            connections: Connections::own(options),
            limit: FIRST,
        };
        let start = Instant::now();
        let connected = dialer.dial().await;
        let connections = connected.map_err(|error| explain::<D>(error, &address))?;
        dialer.limit = (start.elapsed() * 2).clamp(DIAL[0], DIAL[1]);
        Ok(Self::of(dialer, connections))
    }

    /// Must be called within a Tokio runtime.
    pub(super) fn from_pool(pool: Pool<D>) -> Self {
        let connections = Connections::Pool(pool);
        let dialer = Dialer {
            connections: connections.clone(),
            limit: DIAL[1],
        };
        Self::of(dialer, connections)
    }

    fn of(dialer: Dialer<D>, connections: Connections<D>) -> Self {
        Self {
            link: Arc::new(Link::new(dialer, connections)),
        }
    }

    /// Lends a connection for one statement.
    pub(super) async fn call(&self) -> Result<Call<D>, StoreError> {
        let (connections, mut watch) = self.link.call().await?;
        match connections.lend().await {
            Ok(lent) => Ok(Call { lent, watch }),
            Err(error) => {
                let error = failure(error, D::kind);
                watch.end(match error.is_silence() {
                    true => Verdict::Doubtful,
                    false => verdict(&error),
                });
                Err(error)
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

impl<D: Dialect> Clone for SqlServer<D> {
    fn clone(&self) -> Self {
        Self {
            link: Arc::clone(&self.link),
        }
    }
}

impl<D: Dialect> Server for Dialer<D> {
    const KIND: &'static str = <D as Dialect>::KIND;
    type Connection = Connections<D>;

    async fn dial(&self) -> Result<Connections<D>, StoreError> {
        let dial = async {
            let mut connection = self.open().await?;
            D::check(&mut connection).await?;
            Ok(self.connections.renewed(connection).await)
        };
        let dialed = timeout(self.limit, dial).await;
        dialed.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
    }

    async fn ask(&self, connections: Connections<D>) -> Result<(), StoreError> {
        let Some(mut lent) = connections.lend_idle() else {
            // any answer is one, also that there are too many connections
            return match self.open().await {
                Err(error) if error.is_silence() => Err(error),
                _ => Ok(()),
            };
        };
        match D::check(lent.connection()).await {
            Err(error) if error.is_silence() || error.kind() == StoreErrorKind::ReadOnly => {
                Err(error)
            }
            _ => {
                lent.give_back();
                Ok(())
            }
        }
    }
}

impl<D: Dialect> Dialer<D> {
    async fn open(&self) -> Result<D::Connection, StoreError> {
        let opened = self.connections.open().await;
        opened.map_err(|error| failure(error, D::kind))
    }
}

impl<D: Dialect> Call<D> {
    pub(super) fn connection(&mut self) -> &mut D::Connection {
        self.lent.connection()
    }

    /// Ends the call. A connection that is unusable, or whose call is dropped before this, is
    /// closed.
    pub(super) fn end<T>(mut self, made: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        let made = made.map_err(|error| failure(error, D::kind));
        let verdict = made.as_ref().err().map_or(Verdict::Answered, verdict);
        if let Verdict::Answered = verdict {
            self.lent.give_back();
        }
        self.watch.end(verdict);
        made
    }
}

/// A server that accepts no writes is the wrong one. One lost connection does not tell of the
/// others.
fn verdict(error: &StoreError) -> Verdict {
    match error.kind() {
        StoreErrorKind::ReadOnly => Verdict::Lost(error.clone()),
        StoreErrorKind::Unreachable => Verdict::Doubtful,
        _ => Verdict::Answered,
    }
}

fn options<D: Dialect>(url: &str) -> Result<Options<D>, StoreError> {
    url.parse().map_err(|error: sqlx::Error| {
        let message = format!(
            "invalid {} URL: use {}",
            <D as Dialect>::NAME,
            <D as Dialect>::URL
        );
        StoreError::new(StoreErrorKind::Config)
            .because(error)
            .message(message)
    })
}

fn explain<D: Dialect>(error: StoreError, address: &str) -> StoreError {
    let name = <D as Dialect>::NAME;
    if let Some(reason) = tls_reason(&error) {
        let message = format!(
            "{name} at {address} cannot be connected with TLS: {reason}; check the certificate and the settings in the URL; TLS needs the feature `sql-tls`"
        );
        return StoreError::new(StoreErrorKind::Config)
            .because(error)
            .message(message);
    }
    let message = match error.kind() {
        StoreErrorKind::Denied => {
            format!("{name} at {address} refuses the user or the password: check them in the URL")
        }
        StoreErrorKind::Unreachable => {
            format!("no {name} answers at {address}: start it, or correct host and port in the URL")
        }
        StoreErrorKind::TimedOut => format!(
            "{name} at {address} did not answer within {} s: check host and port in the URL, and the firewall",
            FIRST.as_secs()
        ),
        StoreErrorKind::ReadOnly => {
            format!("{name} at {address} accepts no writes: connect to the primary")
        }
        StoreErrorKind::Config if !error.has_message() => {
            format!(
                "{name} at {address} has no such database: create it, or correct its name in the URL"
            )
        }
        _ => return error,
    };
    error.message(message)
}

/// Why TLS failed, such as an expired certificate or another name.
fn tls_reason(error: &StoreError) -> Option<String> {
    let source = std::error::Error::source(error)?;
    match source.downcast_ref::<sqlx::Error>()? {
        sqlx::Error::Tls(error) => Some(error.to_string()),
        // a certificate that is not accepted
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Some(error.to_string())
        }
        _ => None,
    }
}

/// Waits for a task of an operator.
pub(super) async fn patience<T>(
    limit: Duration,
    task: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let done = timeout(limit, task).await;
    done.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
}
