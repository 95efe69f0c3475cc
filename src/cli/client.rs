//! Talking to a running gateway: its admin API and its webhook door.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::BadConfig;
use crate::config::{self, Config};
use crate::decode::Secrets;

/// The largest answer that is read.
const ANSWER_MAX: usize = 64 << 20;

/// Which gateway is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The routing file: its server.admin is asked
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "routes.toml",
        env = "HOOKFAN_CONFIG",
        hide_env_values = true,
        help_heading = "Which gateway"
    )]
    pub(super) config: PathBuf,
    /// The admin address itself, such as http://127.0.0.1:9090
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKFAN_ADMIN",
        hide_env_values = true,
        help_heading = "Which gateway"
    )]
    admin: Option<String>,
    /// A file with the admin token; else HOOKFAN_ADMIN_TOKEN, else the
    /// routing file's admin_token
    #[arg(long, value_name = "FILE", help_heading = "Which gateway")]
    token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// One gateway's admin API.
#[derive(Debug)]
pub(super) struct Admin {
    address: String,
    token: Option<String>,
}

impl Target {
    /// Finds the address and the token.
    pub(super) fn admin(&self) -> anyhow::Result<Admin> {
        let file = match (&self.admin, read_config(&self.config)) {
            (_, Ok(config)) => Some(config),
            // The address is known; the file was only asked for a token.
            (Some(_), Err(_)) => None,
            (None, Err(error)) => return Err(error),
        };
        let address = match (&self.admin, &file) {
            (Some(url), _) => url
                .trim_end_matches('/')
                .strip_prefix("http://")
                .map(str::to_owned)
                .with_context(|| format!("--admin {url}: must start with http://"))?,
            (None, Some(config)) => reachable(config.server.admin).to_string(),
            (None, None) => bail!("no admin address"),
        };
        let environment = std::env::var("HOOKFAN_ADMIN_TOKEN").ok();
        let token = match (&self.token_file, environment) {
            (Some(path), _) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| path.display().to_string())?
                    .trim()
                    .to_owned(),
            ),
            (None, Some(token)) if !token.is_empty() => Some(token),
            (None, _) => file
                .as_ref()
                .and_then(|config| config.server.admin_token.as_ref())
                .and_then(|secret| secret.expose_text())
                .map(str::to_owned),
        };
        Ok(Admin { address, token })
    }
}

/// Reads a configuration with its secrets where they can be had, without where
/// they cannot (an operator's shell need not hold them all).
pub(super) fn read_config(path: &std::path::Path) -> anyhow::Result<Config> {
    let strict = config::load(path, Secrets::Resolve);
    let read = match strict {
        Ok(config) => Ok(config),
        Err(_) => config::load(path, Secrets::Offline),
    };
    read.map_err(|complaints| BadConfig::new(path, &complaints).into())
}

/// Where an address that means "every interface" is reached from here.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback = if address.is_ipv4() {
        [127, 0, 0, 1].into()
    } else {
        std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
    };
    SocketAddr::new(loopback, address.port())
}

impl Admin {
    /// An API known by its address alone (the demo's own).
    pub(super) const fn at(address: String) -> Self {
        Self {
            address,
            token: None,
        }
    }

    /// Where it is asked, as host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, &HeaderMap::new(), Bytes::new())
            .await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        self.ask(Method::POST, path, &headers, Bytes::from(body.to_string()))
            .await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Value> {
        let headers = self.with_token(headers)?;
        let (status, answer) = exchange(&self.address, method, path, headers, body)
            .await
            .with_context(|| self.unheard())?;
        let value: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        match value.get("detail").and_then(Value::as_str) {
            Some(detail) => bail!("{detail}"),
            None if status == StatusCode::UNPROCESSABLE_ENTITY => bail!("{value:#}"),
            None => bail!("the gateway answered {status}"),
        }
    }

    /// Reads a stream of server-sent events: `each` gets the JSON of every one
    /// and says whether to go on. More than `patience` without a byte is an
    /// error.
    pub(super) async fn follow(
        &self,
        path: &str,
        patience: Duration,
        mut each: impl FnMut(Value) -> bool,
    ) -> anyhow::Result<Followed> {
        let mut headers = self.with_token(&HeaderMap::new())?;
        let kind = HeaderValue::from_static("text/event-stream");
        headers.insert(header::ACCEPT, kind);
        let asked = open(&self.address, Method::GET, path, headers, Bytes::new());
        // The connection's task ends with this function.
        let (response, _connection) = timeout(patience, asked)
            .await
            .context("it did not answer in time")
            .flatten()
            .with_context(|| self.unheard())?;
        if response.status() != StatusCode::OK {
            return Ok(Followed::Absent);
        }
        let mut body = response.into_body();
        let mut lines = Vec::new();
        loop {
            let Some(frame) = timeout(patience, body.frame())
                .await
                .context("the gateway fell silent")?
            else {
                return Ok(Followed::Ended);
            };
            lines.extend_from_slice(frame?.data_ref().map_or(&[][..], |data| data));
            if lines.len() > ANSWER_MAX {
                bail!("the gateway says more than can be read");
            }
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = lines.drain(..=end).collect();
                let Some(json) = line.strip_prefix(b"data:") else {
                    continue;
                };
                if !each(serde_json::from_slice(json)?) {
                    return Ok(Followed::Ended);
                }
            }
        }
    }

    fn with_token(&self, headers: &HeaderMap) -> anyhow::Result<HeaderMap> {
        let mut headers = headers.clone();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"))
                .context("the token is no header value")?;
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(headers)
    }

    fn unheard(&self) -> String {
        let address = &self.address;
        format!(
            "no gateway answers at {address}; is it running? (`-c FILE` or `--admin URL` say which one)"
        )
    }
}

/// How a stream came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// There was one; it ended, or nobody wanted more of it.
    Ended,
    /// This gateway has none, or none left.
    Absent,
}

/// Sends one request on a connection of its own, which a task drives for as
/// long as the set is held.
async fn open(
    address: &str,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<(Response<Incoming>, JoinSet<()>)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong here is seen by whoever waits for the answer.
        let _ended = connection.await;
    });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(body))?;
    *request.headers_mut() = headers;
    request
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_str(address)?);
    Ok((sender.send_request(request).await?, driver))
}

/// One request on a connection of its own.
pub(super) async fn exchange(
    address: &str,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (response, _connection) = open(address, method, path, headers, body).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok((status, body.to_bytes()))
}

/// Query text from the pairs that have a value.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
