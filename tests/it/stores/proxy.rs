//! A TCP proxy between an app and its server that can inject network faults.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[derive(Default)]
struct Faults {
    /// Connections up to this number swallow all data in both directions.
    silent: AtomicU64,
    refuses: AtomicBool,
    /// The nth answer from now on is lost and its connection closed. 0 disables this.
    until_lost: AtomicU64,
    connections: AtomicU64,
    /// The port of the server, for new connections.
    port: AtomicU16,
    /// How many milliseconds a new connection takes.
    slow: AtomicU64,
}

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    faults: Arc<Faults>,
}

impl Proxy {
    /// Starts a proxy in front of the server on this port.
    pub(super) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let faults = Arc::<Faults>::default();
        faults.port.store(port, Ordering::SeqCst);
        let shared = faults.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.refuses.load(Ordering::SeqCst) {
                    tokio::spawn(pass(client, shared.clone()));
                }
            }
        });
        Self { address, faults }
    }

    /// Existing connections become silent. New connections work.
    pub(super) fn black_hole(&self) {
        let connections = self.faults.connections.load(Ordering::SeqCst);
        self.faults.silent.store(connections, Ordering::SeqCst);
    }

    /// New connections lead to the server on this port.
    pub(super) fn lead_to(&self, port: u16) {
        self.faults.port.store(port, Ordering::SeqCst);
    }

    /// New connections take so long.
    pub(super) fn slow_down(&self, by: Duration) {
        self.faults
            .slow
            .store(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub(super) fn refuse(&self, refuses: bool) {
        self.faults.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Loses the nth answer from now on: the server executes the command, but the client gets no
    /// answer.
    pub(super) fn lose_answer(&self, n: u64) {
        self.faults.until_lost.store(n, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, faults: Arc<Faults>) {
    let number = 1 + faults.connections.fetch_add(1, Ordering::SeqCst);
    let port = faults.port.load(Ordering::SeqCst);
    let slow = faults.slow.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(slow)).await;
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            len = client.read(&mut asked) => {
                let Ok(len @ 1..) = len else { return };
                if number > faults.silent.load(Ordering::SeqCst) && server.write_all(&asked[..len]).await.is_err() {
                    return;
                }
            }
            len = server.read(&mut answered) => {
                let Ok(len @ 1..) = len else {
                    // a dead host does not close its connections
                    if number <= faults.silent.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                    return;
                };
                if number <= faults.silent.load(Ordering::SeqCst) {
                    continue;
                }
                let counts = |left: u64| (left > 0).then(|| left - 1);
                if faults.until_lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counts) == Ok(1) {
                    return;
                }
                if client.write_all(&answered[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}
