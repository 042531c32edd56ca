//! Encrypted connections to PostgreSQL and MariaDB.

use std::{path::Path, process::Command};

use tower_sealed_session::store::{self, StoreErrorKind};

use super::{
    sql::on_every_server,
    sql_server::{Engine, SqlServer},
};
use crate::processes::Folder;

on_every_server! {
    certificate_is_checked_against_the_authority_in_the_url;
}

/// Makes a certificate authority, and a certificate for this host.
const MAKE: &str = r#"set -e; cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout stranger.key -out stranger.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1\n' >names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out server.pem
chmod 755 . && chmod 600 server.key && if [ "$(id -u)" = 0 ]; then chown nobody server.key; fi"#;

async fn certificate_is_checked_against_the_authority_in_the_url(engine: Engine) {
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
    let file = |name: &str| folder.0.join(name).display().to_string();
    let (certificate, key) = (file("server.pem"), file("server.key"));
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
        let authority = folder.0.join(authority);
        let authority = Path::display(&authority);
        match engine {
            Engine::Postgres => format!("{plain}?sslmode=verify-full&sslrootcert={authority}"),
            Engine::MariaDb => format!("{plain}?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
        }
    };
    let store = store::connect(&url("ca.pem"))
        .await
        .expect("the certificate is good");
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

    let error = store::connect(&url("stranger.pem"))
        .await
        .expect_err("another authority");
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error:?}");
    assert!(
        error.to_string().contains("check the certificate"),
        "{error:?}"
    );
}
