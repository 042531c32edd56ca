//! Starts a real browser: Chromium, or Firefox if the environment variable `BROWSER` is `firefox`.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::{Outcome, PATIENCE, PERIOD};
use crate::processes::Folder;

const CHROMIUM: &str = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage";

#[derive(Clone, Copy)]
enum Kind {
    Chromium,
    Firefox,
}

impl Kind {
    fn chosen() -> Self {
        match env::var("BROWSER").as_deref() {
            Err(_) | Ok("chromium") => Self::Chromium,
            Ok("firefox") => Self::Firefox,
            Ok(other) => panic!("BROWSER is {other:?}; expected chromium or firefox"),
        }
    }

    /// The driver. It listens on any free port, and prints which.
    fn driver(self) -> Command {
        match self {
            Self::Chromium => {
                let mut command = Command::new(program(&["chromedriver"], DEBIAN));
                command.arg("--port=0");
                command
            }
            Self::Firefox => {
                let install = "cargo install geckodriver --locked";
                let mut command = Command::new(program(&["geckodriver"], install));
                command.args(["--port", "0", "--websocket-port", "0"]);
                // messages of the browser's own scripts
                command.stderr(Stdio::null());
                command
            }
        }
    }

    /// What the driver prints before its port.
    fn before_port(self) -> &'static str {
        match self {
            Self::Chromium => "started successfully on port ",
            Self::Firefox => "Listening on 127.0.0.1:",
        }
    }

    fn capabilities(self, profile: &str) -> Value {
        let timeouts = json!({ "pageLoad": PATIENCE.as_millis() as u64 });
        match self {
            Self::Chromium => {
                let profile = format!("--user-data-dir={profile}");
                let arguments: Vec<_> = CHROMIUM.split(' ').chain([&*profile]).collect();
                json!({
                    "goog:chromeOptions": {
                        "args": arguments, "binary": program(&["chromium"], DEBIAN),
                    },
                    "goog:loggingPrefs": { "performance": "ALL" },
                    "timeouts": timeouts,
                })
            }
            Self::Firefox => {
                let install = "apt-get install -y firefox-esr";
                let program = program(&["firefox-esr", "firefox"], install);
                json!({
                    "moz:firefoxOptions": {
                        "args": ["-headless", "-profile", profile], "binary": program,
                        // JSON is shown as text, as in Chromium
                        "prefs": { "devtools.jsonview.enabled": false },
                    },
                    "timeouts": timeouts,
                })
            }
        }
    }
}

const DEBIAN: &str = "apt-get install -y chromium chromium-driver";

/// A driver, and the folder of its browsers' files.
pub(super) struct Driver {
    kind: Kind,
    process: Child,
    port: u16,
    folder: Folder,
}

impl Driver {
    pub(super) fn start() -> Outcome<Self> {
        let (kind, folder) = (Kind::chosen(), Folder::new());
        fs::create_dir(folder.0.join("profile"))?;
        let process = kind
            .driver()
            .env("TMPDIR", &folder.0)
            .env("XDG_CONFIG_HOME", &folder.0)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut driver = Self {
            kind,
            process,
            port: 0,
            folder,
        };
        let output = driver.process.stdout.as_mut().expect("it is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = |line: String| {
            let (_, port) = line.split_once(kind.before_port())?;
            port.trim_end_matches('.').parse().ok()
        };
        driver.port = lines.find_map(port).ok_or("the driver printed no port")?;
        Ok(driver)
    }

    /// Starts a browser. All browsers of one driver use the same profile.
    pub(super) async fn session(&self) -> Outcome<Client> {
        let profile = self.folder.0.join("profile");
        let capabilities = self.kind.capabilities(&profile.to_string_lossy());
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(capabilities)?)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await?;
        Ok(client)
    }

    /// A killed driver would leave its browser running.
    fn shut_down(&mut self) -> io::Result<()> {
        match self.kind {
            Kind::Chromium => {
                let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
                io::copy(&mut stream, &mut io::sink())?;
            }
            Kind::Firefox => {
                let id = self.process.id().to_string();
                Command::new("kill").arg(id).status()?;
                self.process.wait()?;
            }
        }
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.shut_down();
        let _ = self.process.kill();
        let _ = self.process.wait();
        // the browser's helper processes may still write files
        let end = Instant::now() + PATIENCE;
        while fs::remove_dir_all(&self.folder.0).is_err() && Instant::now() < end {
            thread::sleep(PERIOD);
        }
    }
}

/// The path of the first of these programs that is installed.
fn program(names: &[&str], install: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = || env::split_paths(&path);
    names
        .iter()
        .flat_map(|name| folders().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{} is missing: {install}", names[0]))
}
