//! From a URL to a connection: look the name up, ask the guard about every
//! address, connect to an address that was asked about, speak TLS.
//!
//! Our own, because the address that was checked must be the address that is
//! connected to, and because an operator needs to know which step failed.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::guard::{self, Allow, Forbidden};
use crate::settle::Outcome;

/// Which step towards a connection failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    #[error("the URL has no host")]
    NoHost,
    #[error("{host} did not resolve")]
    Lookup { host: String, source: io::Error },
    #[error("{host} did not resolve within {LOOKUP_MAX:?}")]
    LookupTooLong { host: String },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{host} is {address}: {why}")]
    Forbidden {
        host: String,
        address: IpAddr,
        why: Forbidden,
    },
    #[error("no connection to {address}")]
    Connect {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("no connection to {address} within {CONNECT_MAX:?}")]
    ConnectTooLong { address: SocketAddr },
    #[error("no roots to trust: {0}")]
    Roots(String),
    #[error("TLS with {host}")]
    Tls { host: String, source: io::Error },
    #[error("TLS with {host} took longer than {HANDSHAKE_MAX:?}")]
    TlsTooLong { host: String },
}

impl Unreached {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Lookup { .. }
            | Self::LookupTooLong { .. }
            | Self::NoAddress { .. }
            | Self::Forbidden { .. } => Outcome::Dns,
            Self::NoHost | Self::Connect { .. } | Self::ConnectTooLong { .. } => Outcome::Connect,
            Self::Roots(_) | Self::Tls { .. } | Self::TlsTooLong { .. } => Outcome::Tls,
        }
    }
}

type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Turns names into addresses.
pub(super) trait Resolve: fmt::Debug + Send + Sync {
    fn resolve(&self, host: String, port: u16) -> Resolved;
}

/// The machine's resolver.
#[derive(Debug)]
pub(super) struct System {
    own: Arc<Semaphore>,
}

impl System {
    pub(super) fn new() -> Self {
        Self {
            own: Arc::new(Semaphore::new(LOOKUPS_PER_DESTINATION_MAX)),
        }
    }
}

impl Resolve for System {
    fn resolve(&self, host: String, port: u16) -> Resolved {
        let own = self.own.clone();
        Box::pin(async move {
            // A look-up cannot be cancelled: it keeps its thread until the system
            // gives up, and so keeps its two permits until then, though nobody
            // waits any more. A destination whose name server is silent must not
            // hold all of them.
            let own = own.acquire_owned().await.map_err(io::Error::other)?;
            let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
            let lookup = tokio::task::spawn_blocking(move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
                drop((own, permit));
                found
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

/// A destination's way to the network. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<Way>);

struct Way {
    allow: Allow,
    ca: Option<PathBuf>,
    resolver: Arc<dyn Resolve>,
    tls: OnceCell<TlsConnector>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way")
            .field("allow", &self.allow)
            .field("ca", &self.ca)
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(allow: Allow, ca: Option<PathBuf>, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Way {
            allow,
            ca,
            resolver,
            tls: OnceCell::new(),
        }))
    }

    async fn connect(&self, uri: Uri) -> Result<Stream, Unreached> {
        let host = uri.host().ok_or(Unreached::NoHost)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let tcp = self.reach(self.addresses(host, port).await?).await?;
        if !https {
            return Ok(MaybeHttpsStream::Http(TokioIo::new(tcp)));
        }
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
        let tls = |source| Unreached::Tls {
            host: host.to_owned(),
            source,
        };
        let name = name.map_err(|error| tls(io::Error::other(error)))?;
        let handshake = self
            .tls()
            .await?
            .connect(name, TokioIo::new(TokioIo::new(tcp)));
        match timeout(HANDSHAKE_MAX, handshake).await {
            Ok(Ok(stream)) => Ok(MaybeHttpsStream::from(stream)),
            Ok(Err(source)) => Err(tls(source)),
            Err(_elapsed) => Err(Unreached::TlsTooLong {
                host: host.to_owned(),
            }),
        }
    }

    /// The addresses of a name that we may connect to; never empty.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreached> {
        // A literal is asked about like any other address.
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                match timeout(LOOKUP_MAX, self.0.resolver.resolve(host.to_owned(), port)).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(source)) => {
                        return Err(Unreached::Lookup {
                            host: host.to_owned(),
                            source,
                        });
                    }
                    Err(_elapsed) => {
                        return Err(Unreached::LookupTooLong {
                            host: host.to_owned(),
                        });
                    }
                }
            }
        };
        let mut refused = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match guard::check(address.ip(), self.0.allow) {
                Ok(()) => allowed.push(SocketAddr::new(address.ip(), port)),
                Err(why) => refused = Some((address.ip(), why)),
            }
        }
        match refused {
            _ if !allowed.is_empty() => Ok(allowed),
            Some((address, why)) => Err(Unreached::Forbidden {
                host: host.to_owned(),
                address,
                why,
            }),
            None => Err(Unreached::NoAddress {
                host: host.to_owned(),
            }),
        }
    }

    /// Connects to the first address that answers. The time is shared out, so
    /// that one black hole does not use it all.
    async fn reach(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, Unreached> {
        let deadline = Instant::now() + CONNECT_MAX;
        let mut last = None;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    return tune(&tcp)
                        .map(|()| tcp)
                        .map_err(|source| Unreached::Connect { address, source });
                }
                Ok(Err(source)) => last = Some(Unreached::Connect { address, source }),
                Err(_elapsed) => last = Some(Unreached::ConnectTooLong { address }),
            }
        }
        Err(last.unwrap_or(Unreached::NoHost))
    }

    async fn tls(&self) -> Result<&TlsConnector, Unreached> {
        self.0
            .tls
            .get_or_try_init(|| async {
                let config = match &self.0.ca {
                    Some(ca) => trust(Some(ca.clone())).await?,
                    None => SYSTEM_ROOTS.get_or_try_init(|| trust(None)).await?.clone(),
                };
                Ok(TlsConnector::from(config))
            })
            .await
    }
}

/// A client that trusts the machine's roots and those of `ca`. There is no
/// switch that trusts everybody. Reads files, so it runs beside the loop.
async fn trust(ca: Option<PathBuf>) -> Result<Arc<ClientConfig>, Unreached> {
    let read = tokio::task::spawn_blocking(move || {
        let extra = ca.as_deref().map_or_else(|| Ok(Vec::new()), certificates)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, provider.clone())
            .map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        // The verifier is the platform's, with its full checks: rustls calls any
        // verifier that is not its own dangerous.
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    read.await
        .map_err(|error| Unreached::Roots(error.to_string()))?
        .map_err(Unreached::Roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let complain = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| complain(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| complain(&error))?;
    if found.is_empty() {
        Err(complain(&"no certificate in it"))
    } else {
        Ok(found)
    }
}

/// Small requests go at once; a peer that is gone is noticed.
fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}

pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unreached;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Unreached>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await })
    }
}

const LOOKUP_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
const LOOKUPS_PER_DESTINATION_MAX: usize = 2;
/// Look-ups of the whole process at once: each occupies a thread.
static LOOKUPS: Semaphore = Semaphore::const_new(16);
/// Reading the machine's roots is slow and gives the same for everybody.
static SYSTEM_ROOTS: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
