use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisError,
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

/// The host and the port of a server.
pub(super) type Address = (String, u16);

/// The time limit of the first connection attempt, at start-up.
const FIRST: Duration = Duration::from_secs(5);

/// The lowest and the highest time limit of later connection attempts.
const DIAL: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// Opens connections to one server, or to the first of several hosts that works.
pub(super) struct Dialer {
    /// One for each host.
    clients: Vec<Client>,
    /// The time limit of a connection attempt. It is longer if the first attempt was slow.
    limit: Duration,
    /// Whether any node of a cluster will do, since it only tells which nodes there are.
    any_node: bool,
}

impl Dialer {
    /// Connects for the first time. Errors say what is wrong with the settings.
    pub(super) async fn start(
        url: &str,
    ) -> Result<(Self, MultiplexedConnection, Address), StoreError> {
        let mut dialer = Self {
            clients: clients(url)?,
            limit: FIRST,
            any_node: true,
        };
        let (connection, address) = dialer.first().await?;
        Ok((dialer, connection, address))
    }

    /// The dialer of a node of the cluster, with the other settings of the URL.
    pub(super) fn node(&self, (host, port): &Address) -> Self {
        let info = self.clients[0].get_connection_info().clone();
        let (host, port) = (host.clone(), *port);
        let addr = match info.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = Client::open(info.set_addr(addr));
        Self {
            clients: vec![client.expect("the other settings were accepted before")],
            limit: self.limit,
            any_node: false,
        }
    }

    /// Connects for the first time. Errors say what is wrong with the settings.
    pub(super) async fn first(&mut self) -> Result<(MultiplexedConnection, Address), StoreError> {
        let start = Instant::now();
        self.limit = FIRST;
        let opened = self.try_each(explain).await?;
        self.limit = (start.elapsed() * 2).clamp(DIAL[0], DIAL[1]);
        Ok(opened)
    }

    /// Connects again.
    pub(super) async fn again(&self) -> Result<(MultiplexedConnection, Address), StoreError> {
        self.try_each(|_, error| error).await
    }

    /// Connects to the first host that works. If none does, the error is that of the first one.
    async fn try_each(
        &self,
        explain: impl Fn(&Client, StoreError) -> StoreError,
    ) -> Result<(MultiplexedConnection, Address), StoreError> {
        let mut failed = None;
        for client in &self.clients {
            match self.open(client).await {
                Ok(connection) => return Ok((connection, address(client))),
                Err(error) => failed = failed.or_else(|| Some(explain(client, error))),
            }
        }
        Err(failed.expect("a URL has a host"))
    }

    /// Opens a connection, and checks that the server is ready and accepts writes.
    async fn open(&self, client: &Client) -> Result<MultiplexedConnection, StoreError> {
        let dial = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                .set_pipeline_buffer_size(1024);
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            check::ready(&mut connection, self.any_node).await?;
            Ok(connection)
        };
        match timeout(self.limit, dial).await {
            Ok(dialed) => dialed.map_err(fault::translate),
            Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
        }
    }
}

fn address(client: &Client) -> Address {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            (host.clone(), *port)
        }
        // a node of a cluster that is reached by a socket runs on this machine
        _ => ("localhost".to_owned(), 0),
    }
}

/// Says what is wrong with the settings.
fn explain(client: &Client, error: StoreError) -> StoreError {
    let at = client.get_connection_info().addr();
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

impl Server for Dialer {
    const KIND: &'static str = "redis";
    type Connection = MultiplexedConnection;

    async fn dial(&self) -> Result<MultiplexedConnection, StoreError> {
        self.again().await.map(|(connection, _)| connection)
    }

    async fn ask(&self, mut connection: MultiplexedConnection) -> Result<(), StoreError> {
        match check::ready(&mut connection, self.any_node).await {
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

/// The clients of the hosts in a URL, in order.
fn clients(url: &str) -> Result<Vec<Client>, StoreError> {
    if has_raw_password(url) {
        return Err(config(
            "invalid redis URL: it has an `@` after the host; in a password, write / ? # @ as %2F %3F %23 %40",
        ));
    }
    hosts(url).iter().map(|url| client(url)).collect()
}

/// One URL for each of the hosts, which are separated by commas.
fn hosts(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return vec![url.to_owned()];
    };
    if scheme.ends_with("unix") {
        return vec![url.to_owned()];
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let start = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, hosts) = authority.split_at(start);
    hosts
        .split(',')
        .map(|host| format!("{scheme}://{user}{host}{path}"))
        .collect()
}

fn client(url: &str) -> Result<Client, StoreError> {
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

fn config(message: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Config).message(message)
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
            let error = clients(url).expect_err("refused");
            assert_eq!(error.kind(), StoreErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
        assert!(clients("unix:///run/@redis").is_ok());
        assert!(clients("redis://:%40%2F@localhost/3").is_ok());
    }

    #[test]
    fn hosts_are_separated_by_commas() {
        for (url, urls) in [
            ("redis://h", &["redis://h"][..]),
            ("unix:///run/a,b", &["unix:///run/a,b"]),
            (
                "rediss://me:a,b@h1:1,h2,[::1]:3/0?protocol=resp3",
                &[
                    "rediss://me:a,b@h1:1/0?protocol=resp3",
                    "rediss://me:a,b@h2/0?protocol=resp3",
                    "rediss://me:a,b@[::1]:3/0?protocol=resp3",
                ],
            ),
        ] {
            assert_eq!(hosts(url), urls);
        }
        assert!(clients("redis://h1,,h2").is_err());
    }
}
