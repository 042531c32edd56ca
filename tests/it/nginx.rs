//! A real nginx for one test.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::processes::{Folder, free_port};

/// A server with its own port and folder. It is stopped when this value is dropped.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) folder: Folder,
    pub(crate) port: u16,
}

impl Nginx {
    /// Starts a server. `http` and `server` are lines of these blocks of its configuration; paths
    /// are relative to `folder`. `listen` is what comes after the port: empty, or `ssl`.
    pub(crate) fn start(folder: Folder, http: &str, listen: &str, server: &str) -> Self {
        let port = free_port();
        let config = format!(
            "daemon off; master_process off; pid pid; error_log stderr;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
                uwsgi_temp_path u; scgi_temp_path s;
                {http}
                server {{
                    listen 127.0.0.1:{port} {listen};
                    proxy_set_header Host $http_host;
                    {server}
                }}
            }}"
        );
        let file = folder.0.join("nginx.conf");
        fs::write(&file, config).expect("written");
        let process = Command::new("nginx")
            .arg("-p")
            .arg(&folder.0)
            .arg("-c")
            .arg(&file)
            .spawn()
            .expect("nginx is missing: `apt-get install -y nginx-light`");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            process,
            folder,
            port,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
