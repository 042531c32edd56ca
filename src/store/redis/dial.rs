use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisError,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::time::{Instant, timeout};

use super::{
    super::{
        error::{StoreError, StoreErrorKind},
        link::Server,
    },
    check, fault, tls,
};

/// The time limit of the first connection attempt, at start-up.
const FIRST: Duration = Duration::from_secs(5);

/// The lowest and the highest time limit of later connection attempts.
const DIAL: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// Opens connections to one server.
pub(super) struct Dialer {
    client: Client,
    /// The time limit of a connection attempt. It is longer if the first attempt was slow.
    limit: Duration,
}

impl Dialer {
    /// Connects for the first time. Errors say what is wrong with the settings.
    pub(super) async fn start(url: &str) -> Result<(Self, MultiplexedConnection), StoreError> {
        let mut dialer = Self {
            client: client(url)?,
            limit: FIRST,
        };
        let start = Instant::now();
        let mut connection = match dialer.open().await {
            Ok(connection) => connection,
            Err(error) => return Err(dialer.explain(error)),
        };
        dialer.limit = (start.elapsed() * 2).clamp(DIAL[0], DIAL[1]);
        check::suitable(&mut connection).await?;
        Ok((dialer, connection))
    }

    /// Opens a connection, and checks that the server is ready and accepts writes.
    async fn open(&self) -> Result<MultiplexedConnection, StoreError> {
        let dial = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(1024);
            let mut connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            check::ready(&mut connection).await?;
            Ok(connection)
        };
        match timeout(self.limit, dial).await {
            Ok(dialed) => dialed.map_err(fault::translate),
            Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
        }
    }

    fn explain(&self, error: StoreError) -> StoreError {
        let at = self.client.get_connection_info().addr();
        if let Some(reason) = tls::reason(&error) {
            let message = format!("redis at {at} cannot be connected with TLS: {reason}");
            let refused = StoreError::new(StoreErrorKind::Config);
            return refused.because(error).message(message);
        }
        let message = match error.kind() {
            StoreErrorKind::Denied => {
                format!("redis at {at} refuses the user or the password: check them in the URL")
            }
            StoreErrorKind::ReadOnly => {
                format!(
                    "redis at {at} is a replica, which accepts no writes: use the URL of the primary"
                )
            }
            StoreErrorKind::Unreachable if is_refusal(&error) => {
                format!("no redis answers at {at}: start it, or correct host and port in the URL")
            }
            StoreErrorKind::Unreachable => format!(
                "redis at {at} is not ready, or the host is unknown: wait until it has loaded its data, or correct the URL"
            ),
            StoreErrorKind::TimedOut => format!(
                "redis at {at} did not answer within {} s: check host and port in the URL, whether it needs TLS (`rediss://`), and the firewall",
                FIRST.as_secs()
            ),
            _ => {
                let message = format!(
                    "redis at {at} rejects settings in the URL: check the database number and the options"
                );
                return StoreError::new(StoreErrorKind::Config)
                    .because(error)
                    .message(message);
            }
        };
        error.message(message)
    }
}

impl Server for Dialer {
    type Connection = MultiplexedConnection;

    async fn dial(&self) -> Result<MultiplexedConnection, StoreError> {
        self.open().await
    }

    async fn ask(&self, mut connection: MultiplexedConnection) -> Result<(), StoreError> {
        match check::ready(&mut connection).await {
            Err(error) if fault::is_lost(&error) => Err(fault::translate(error)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

fn client(url: &str) -> Result<Client, StoreError> {
    let config = |message: &str| StoreError::new(StoreErrorKind::Config).message(message);
    if has_raw_password(url) {
        return Err(config(
            "invalid redis URL: it has an `@` after the host; in a password, write / ? # @ as %2F %3F %23 %40",
        ));
    }
    let (url, authorities) = tls::split(url);
    let info = match url.as_str().into_connection_info() {
        Ok(info) => info,
        Err(_) if is_plain_but_for_tls(&url) => return Err(tls::missing()),
        Err(error) => {
            return Err(config(
                "invalid redis URL: use redis://user:password@host:6379/0 or unix:///path/to/socket?db=0",
            )
            .because(error));
        }
    };
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive());
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    tls::client(info.set_tcp_settings(settings), authorities)
}

fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
}

/// Whether the password has an unescaped `/`, `?` or `#`.
///
/// These characters end the host. The start of the password would be shown as the host, and the
/// rest would be parsed as the path.
fn has_raw_password(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, _)) if scheme.ends_with("unix") => false,
        Some((_, rest)) => rest
            .split_once(['/', '?', '#'])
            .is_some_and(|(_, behind)| behind.contains('@')),
        None => false,
    }
}

fn is_plain_but_for_tls(url: &str) -> bool {
    let plain = match url.split_once("://") {
        Some(("rediss" | "valkeys", rest)) => format!("redis://{rest}"),
        _ => return false,
    };
    plain.as_str().into_connection_info().is_ok()
}

fn is_refusal(error: &StoreError) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<RedisError>())
        .is_some_and(RedisError::is_connection_refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_with_raw_slashes_are_refused_and_not_shown() {
        for url in ["redis://:12/s3cret@host", "redis://me:12#s3cret@host:1/0"] {
            let error = client(url).expect_err("refused");
            assert_eq!(error.kind(), StoreErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
        assert!(client("unix:///run/@redis").is_ok());
        assert!(client("redis://:%40%2F@localhost/3").is_ok());
    }
}
