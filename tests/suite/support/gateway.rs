//! The real binary, as a process, in a temporary folder.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::eventually;
use super::http::{Answer, ask};
use super::sender::QISCUS_TOKEN;

/// A folder with a configuration, and the process that runs in it.
pub struct Gateway {
    pub ingress: SocketAddr,
    pub admin: SocketAddr,
    pub folder: tempfile::TempDir,
    /// Everything any of its processes logged.
    pub lines: Arc<Mutex<Vec<String>>>,
    child: Option<Child>,
    level: String,
    wrapper: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Gateway {
    /// Writes the file and starts. `rules` is everything but `[server]` and the source `qiscus`.
    pub fn start(rules: &str) -> Self {
        let mut gateway = Self::prepare(rules);
        gateway.run();
        gateway
    }

    /// Writes the file only.
    pub fn prepare(rules: &str) -> Self {
        let gateway = Self {
            ingress: free_address(),
            admin: free_address(),
            folder: tempfile::tempdir().unwrap(),
            lines: Arc::default(),
            child: None,
            level: "info".to_owned(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        };
        gateway.secret("qiscus-token", QISCUS_TOKEN);
        gateway.write(rules);
        gateway
    }

    /// A secret's file, for nobody else to read.
    pub fn secret(&self, name: &str, value: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Replaces the file's rules (in place, as an editor that truncates does).
    pub fn write(&self, rules: &str) {
        std::fs::write(self.file(), self.text(rules)).unwrap();
    }

    /// The whole file for these rules. `[limits]`, `[log]` and all else come from `rules`.
    pub fn text(&self, rules: &str) -> String {
        format!(
            "[server]\nlisten = \"{}\"\nadmin = \"{}\"\ndata_dir = \"{}\"\n\n\
             [source.qiscus]\nkind = \"qiscus\"\nauth = {{ scheme = \"qiscus\", secret = {{ file = \"qiscus-token\" }} }}\n\n{rules}",
            self.ingress,
            self.admin,
            self.data().display()
        )
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("routes.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// At TRACE, for tests that look for what must not be there.
    pub fn at_level(mut self, level: &str) -> Self {
        self.level = level.to_owned();
        self
    }

    /// Run under another program, such as `prlimit --nofile=256`.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// For the gateway and for every verb run beside it.
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.environment.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Starts the process and waits until it serves.
    pub fn run(&mut self) {
        self.spawn();
        let admin = self.admin;
        eventually("the gateway to be ready", Duration::from_secs(20), || {
            if let Some(status) = self.ended() {
                panic!("the gateway ended with {status} at start:\n{}", self.log());
            }
            ask(admin, "GET", "/readyz", &[], b"")
                .ok()
                .filter(|answer| answer.status == 200)
        });
    }

    /// Starts the process.
    pub fn spawn(&mut self) {
        let words: Vec<String> = self
            .wrapper
            .iter()
            .cloned()
            .chain([env!("CARGO_BIN_EXE_hookfan").to_owned()])
            .collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["run", "--log-format", "json", "--log", &self.level, "-c"])
            .arg(self.file())
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::clone(&self.lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        self.child = Some(child);
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// SIGTERM; the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(Duration::from_secs(30))
    }

    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let status = eventually("the gateway to end", patience, || self.ended());
        self.child = None;
        status
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().unwrap())
    }

    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(self.admin, "GET", path, &[], b"").expect("the admin API to answer")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        ask(
            self.admin,
            "POST",
            path,
            &headers,
            body.to_string().as_bytes(),
        )
        .expect("the admin API to answer")
    }

    /// A destination's row of `status`.
    pub fn destination(&self, name: &str) -> Value {
        let status = self.get("/api/v1/status").json();
        let rows = status["destinations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rows.into_iter()
            .find(|row| row["name"] == name)
            .unwrap_or(Value::Null)
    }

    /// Waits until nothing is pending for any destination.
    pub fn drained(&self, patience: Duration) {
        eventually("every copy to be settled", patience, || {
            let status = ask(self.admin, "GET", "/api/v1/status", &[], b"")
                .ok()?
                .json();
            let rows = status["destinations"].as_array()?.clone();
            rows.iter().all(|row| row["pending"] == 0).then_some(())
        });
    }

    /// The value of a metric, labels as written in the exposition.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Runs another verb of the binary in this folder.
    pub fn hookfan(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = verb(self.folder.path(), arguments);
        command.envs(self.environment()).output().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a verb of the binary in a folder.
pub fn hookfan(folder: &Path, arguments: &[&str]) -> std::process::Output {
    verb(folder, arguments).output().unwrap()
}

fn verb(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookfan"));
    command
        .current_dir(folder)
        .args(arguments)
        .env_remove("HOOKFAN_CONFIG")
        .stdin(Stdio::null());
    command
}

/// A loopback address that nobody listens on. It is told once in this process and
/// lies below the ports that systems give to outgoing connections, so that no
/// other test takes it before the gateway does, or between two of its lives.
pub fn free_address() -> SocketAddr {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static TOLD: AtomicU32 = AtomicU32::new(0);
    // Suites that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| {
            let port = FIRST + start.wrapping_add(TOLD.fetch_add(1, Ordering::Relaxed)) % COUNT;
            SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()))
        })
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a port of twenty thousand is free")
}
