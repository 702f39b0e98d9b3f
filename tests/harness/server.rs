//! Web servers that people really use, on a free loopback port.
//!
//! A server is ended, by its process id, when its value goes away, also when the test fails.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Scratch, tools};

/// A running server.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
}

impl Server {
    /// `python3 -m http.server`. The test needs `python3`.
    pub fn python(root: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(tools::find("python3").unwrap());
        command
            .args(["-m", "http.server", "--bind", "127.0.0.1"])
            .arg(port.to_string())
            .current_dir(root);
        Self::start(command, port)
    }

    /// nginx with a plain `root`. The test needs `nginx`.
    pub fn nginx(scratch: &Scratch, root: &Path) -> Self {
        let settings = format!("location / {{ root {}; }}", root.display());
        Self::nginx_with(scratch, &settings)
    }

    /// nginx that caches what `origin` gives, as these lines say.
    pub fn nginx_cache(scratch: &Scratch, origin: &str, settings: &str) -> Self {
        let port = free_port();
        let folder = scratch.join(format!(".nginx-cache-{port}"));
        let zone = format!("proxy_cache_path {} keys_zone=c:1m;", folder.display());
        let settings = format!("location / {{ proxy_pass {origin}/; proxy_cache c; {settings} }}");
        Self::nginx_http(scratch, port, &zone, &settings)
    }

    /// nginx with these lines in its one `server` block.
    pub fn nginx_with(scratch: &Scratch, settings: &str) -> Self {
        Self::nginx_http(scratch, free_port(), "", settings)
    }

    fn nginx_http(scratch: &Scratch, port: u16, http: &str, settings: &str) -> Self {
        let folder = scratch.join(format!(".nginx-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let place = folder.display();
        // One process, so that its id is all there is to end; `nginx` as root would otherwise
        // drop its rights and not see the scratch folder.
        let configuration = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
    access_log {place}/access.log; default_type application/octet-stream;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    {http}
    server {{ listen 127.0.0.1:{port}; {settings} }}
}}
"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(tools::find("nginx").unwrap());
        command
            .arg("-p")
            .arg(&folder)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&file);
        Self::start(command, port)
    }

    /// A program that listens on a port of 127.0.0.1.
    pub fn start(mut command: Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut server = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
