//! Encrypted connections to Redis, PostgreSQL and MariaDB.

use std::{fs, process::Command, time::Duration};

use tower_sealed_session::store::{self, StoreErrorKind};

use super::{
    redis_client,
    redis_server::RedisServer,
    sql::on_every_server,
    sql_server::{Engine, SqlServer},
};
use crate::processes::{Folder, free_port};

on_every_server! {
    certificate_is_checked;
}

/// Makes a certificate authority, and certificates for this host: a good one, one for another name,
/// and an expired one.
const MAKE: &str = r#"set -e; cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout stranger.key -out stranger.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
sign() {
  printf 'subjectAltName=IP:%s\n' "$2" >names
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days "$3" -extfile names -out "$1.pem"
}
sign server 127.0.0.1 2
sign other 127.0.0.2 2
sign expired 127.0.0.1 -1
chmod 755 . && chmod 600 server.key && if [ "$(id -u)" = 0 ]; then chown nobody server.key; fi"#;

struct Certificates(Folder);

impl Certificates {
    fn make() -> Self {
        let folder = Folder::new();
        let made = Command::new("sh")
            .args(["-c", MAKE, "make"])
            .arg(&folder.0)
            .output();
        let made = made.expect("a shell");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.0.join(name).display().to_string()
    }
}

/// Connects with good and bad certificates. `url` makes a URL with an authority, and `reload` lets
/// the server read its certificate again.
async fn assert_checked(
    certificates: &Certificates,
    url: impl Fn(&str) -> String,
    reload: impl AsyncFn(),
) {
    let refused = async |authority: &str, reason: &str| {
        let connected = store::connect(&url(&certificates.file(authority))).await;
        let error = connected.expect_err(reason);
        assert_eq!(error.kind(), StoreErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    let good = store::connect(&url(&certificates.file("ca.pem"))).await;
    good.expect("the certificate is good");
    refused("stranger.pem", "UnknownIssuer").await;
    for (name, reason) in [("other", "not valid for name"), ("expired", "Expired")] {
        let (from, to) = (format!("{name}.pem"), "server.pem");
        fs::copy(certificates.file(&from), certificates.file(to)).expect("copied");
        reload().await;
        refused("ca.pem", reason).await;
    }
}

async fn certificate_is_checked(engine: Engine) {
    let certificates = Certificates::make();
    let (certificate, key) = (
        certificates.file("server.pem"),
        certificates.file("server.key"),
    );
    let server = match engine {
        Engine::Postgres => {
            let set = [
                format!("ssl_cert_file={certificate}"),
                format!("ssl_key_file={key}"),
            ];
            SqlServer::start(engine, &["-c", "ssl=on", "-c", &set[0], "-c", &set[1]])
        }
        Engine::MariaDb => {
            let set = [
                format!("--ssl-cert={certificate}"),
                format!("--ssl-key={key}"),
            ];
            SqlServer::start(engine, &[&set[0], &set[1]])
        }
    };
    let url = |authority: &str| {
        let plain = server.url(server.first_database());
        let (plain, _) = plain.split_once('?').expect("settings");
        match engine {
            Engine::Postgres => format!("{plain}?sslmode=verify-full&sslrootcert={authority}"),
            Engine::MariaDb => format!("{plain}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
        }
    };
    let reload = async || {
        let reload = match engine {
            Engine::Postgres => "select pg_reload_conf()",
            Engine::MariaDb => "flush ssl",
        };
        server.execute(server.first_database(), reload).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let store = store::connect(&url(&certificates.file("ca.pem"))).await;
    let store = store.expect("the certificate is good");
    store.create_schema().await.expect("a schema");
    let encrypted = match engine {
        Engine::Postgres => {
            "select count(*) from pg_stat_ssl where ssl and pid <> pg_backend_pid()"
        }
        Engine::MariaDb => {
            "select cast(variable_value as signed) from information_schema.global_status \
             where variable_name = 'Ssl_accepts'"
        }
    };
    assert!(server.number(server.first_database(), encrypted).await >= 1);
    assert_checked(&certificates, url, reload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_of_redis_is_checked() {
    let certificates = Certificates::make();
    let (certificate, key) = (
        certificates.file("server.pem"),
        certificates.file("server.key"),
    );
    let port = free_port().to_string();
    let server = RedisServer::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ]);
    let url = |authority: &str| format!("rediss://127.0.0.1:{port}/0?sslrootcert={authority}");
    let reload = async || {
        let mut reload = redis::cmd("CONFIG");
        reload.arg("SET").arg("tls-cert-file").arg(&certificate);
        redis_client::run::<redis::Value>(&server.url(), &reload).await;
    };
    assert_checked(&certificates, url, reload).await;
    let system = store::connect(&format!("rediss://127.0.0.1:{port}/0")).await;
    let error = system.expect_err("the system does not know this authority");
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error:?}");
}
