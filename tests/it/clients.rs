//! The shop over TLS, as clients in other languages use it. `.ci/nightly clients` runs these tests.

use std::{ffi::OsStr, path::Path, process::Command};

use tower_sealed_session::{SessionLayer, SessionLayerBuilder};

use crate::{
    browser::{login, serve},
    nginx::Nginx,
    processes::Folder,
    support::{NAME, keys},
};

const JAVA: &str = "apt-get install -y openjdk-17-jdk-headless";

/// Java treats a cookie with `Max-Age` as one of RFC 2965, and sends its value in double quotes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "`.ci/nightly clients` runs it: it needs Java"]
async fn java_logs_in_and_out_with_quoted_cookies() {
    let cookies = java_uses_the_shop(SessionLayer::builder(keys())).await;
    let quoted = format!("$Version=\"1\"; {NAME}=\"");
    assert!(cookies.contains(&quoted), "Java no longer sends quotes");
}

/// Without `Max-Age`, it sends the value as it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "`.ci/nightly clients` runs it: it needs Java"]
async fn java_logs_in_and_out_with_cookies_of_the_browser_session() {
    let cookies = java_uses_the_shop(SessionLayer::builder(keys()).browser_session(true)).await;
    assert!(cookies.contains(NAME) && !cookies.contains('"'));
}

/// Returns the `Cookie` headers that Java sent.
async fn java_uses_the_shop(sessions: SessionLayerBuilder) -> String {
    let sessions = sessions.build().expect("valid settings");
    let port = serve(login::app(sessions)).await.expect("a port");
    let folder = Folder::new();
    let store = make_certificate(&folder.0);
    let nginx = Nginx::start(
        folder,
        "log_format cookies escape=none $http_cookie;",
        "ssl",
        &format!(
            "ssl_certificate cert.pem; ssl_certificate_key key.pem; access_log log cookies;
            location / {{ proxy_pass http://127.0.0.1:{port}; }}"
        ),
    );
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/Shop.java");
    let trust = format!("-Djavax.net.ssl.trustStore={store}");
    let shop = format!("https://localhost:{}/", nginx.port);
    let password = "-Djavax.net.ssl.trustStorePassword=changeit";
    run("java", [&*trust, password, client, &*shop], JAVA);
    std::fs::read_to_string(nginx.folder.0.join("log")).expect("the log")
}

/// A certificate for `localhost`, its key, and a store in which Java finds the certificate.
fn make_certificate(folder: &Path) -> String {
    let file = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let (key, certificate, store) = (file("key.pem"), file("cert.pem"), file("trust.p12"));
    let make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout";
    let made = make.split_whitespace().chain([&*key, "-out", &certificate]);
    run("openssl", made, "apt-get install -y openssl");
    let trust = "-importcert -noprompt -alias shop -storetype PKCS12 -storepass changeit -keystore";
    let trusted = trust.split(' ').chain([&*store, "-file", &certificate]);
    run("keytool", trusted, JAVA);
    store
}

fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>, install: &str) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start ({error}): {install}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
}
