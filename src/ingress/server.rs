//! The accept loop: so many connections and not more, each in a task that is
//! owned, ended by deadlines, and drained when told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::note::Note;
use super::peer::neighbourhood;
use super::tls::Acceptor;
use super::wire::{Ending, Watch, Wire};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// After a failed accept: long enough for descriptors to come back, short
/// enough that nobody waits two seconds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// As many headers hyper takes unless told otherwise.
const HYPERS_HEADERS_MAX: usize = 100;

/// A request as it reached us.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) peer: IpAddr,
    pub(super) first_byte_at: Instant,
    /// Tells why a body broke off.
    pub(super) note: Arc<Note>,
}

/// Who answers requests.
pub(super) trait Respond: Watch {
    /// Where open connections are counted.
    fn metrics(&self) -> &Metrics;
    /// A connection was closed, or not even accepted, without an answer. `why`
    /// is a label of `connections_refused_total`.
    fn turned_away(&self, peer: Option<IpAddr>, why: &'static str);
    /// Connections of this address are not counted against it.
    fn is_proxy(&self, peer: IpAddr) -> bool;
    /// One request in, one answer out.
    fn respond(
        self: Arc<Self>,
        arrival: Arrival,
        request: Request<Incoming>,
    ) -> impl Future<Output = Answer> + Send;
}

/// Serves until `drain` is cancelled and the last connection has ended, or
/// `limits.drain` is over.
pub(super) async fn serve<R: Respond>(
    respond: Arc<R>,
    listener: TcpListener,
    tls: Option<Acceptor>,
    drain: CancellationToken,
) {
    let seats = Arc::new(Seats::default());
    let mut tasks = JoinSet::new();
    let mut cancelled = pin!(drain.cancelled());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut cancelled => break,
            Some(ended) = tasks.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("connection.panicked");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, address)) => match seats.take(&respond, address.ip()) {
                Ok(seat) => {
                    tasks.spawn(connection(
                        Arc::clone(&respond),
                        socket,
                        seat,
                        tls.clone(),
                        drain.clone(),
                    ));
                }
                Err(why) => respond.turned_away(Some(address.ip()), why),
            },
            // These tell of one connection that went before we came.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            // Out of descriptors or memory: others still work and will give theirs back.
            Err(error) => {
                tracing::warn!(%error, "connection.accept_failed");
                respond.turned_away(None, "accept");
                tokio::select! {
                    () = &mut cancelled => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(respond.limits().drain, all_ended).await.is_err() {
        tracing::warn!(connections = tasks.len(), "drain.cut_off");
    }
}

/// One connection from its first byte to its last.
async fn connection<R: Respond>(
    respond: Arc<R>,
    socket: TcpStream,
    seat: Seat<R>,
    tls: Option<Acceptor>,
    drain: CancellationToken,
) {
    // An answer is one small write: it must not wait for an acknowledgement.
    let _refused_by_a_dead_socket = socket.set_nodelay(true);
    let Some(tls) = tls else {
        return converse(respond, socket, seat.peer, drain).await;
    };
    let shake = Box::pin(timeout(respond.limits().first_byte, tls.accept(socket)));
    let shaken = tokio::select! {
        shaken = shake => shaken,
        () = drain.cancelled() => return,
    };
    match shaken {
        Ok(Ok(Some(stream))) => Box::pin(converse(respond, stream, seat.peer, drain)).await,
        Ok(Ok(None)) => {}
        Ok(Err(why)) => respond.turned_away(Some(seat.peer), why),
        Err(_late) => respond.turned_away(Some(seat.peer), "tls_timeout"),
    }
}

/// Requests and answers over a stream, in the clear or inside TLS.
async fn converse<R: Respond, Io>(respond: Arc<R>, io: Io, peer: IpAddr, drain: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    let note = Arc::new(Note::default());
    let mut wire = Wire::new(io, Arc::clone(&respond), Arc::clone(&note), peer);
    if respond.is_proxy(peer) {
        wire.linger_for_a_proxy();
    }
    let begun = tokio::select! {
        // What came before the drain is still answered.
        biased;
        begun = wire.first_head() => begun,
        () = drain.cancelled() => return,
    };
    match (begun, wire.ending()) {
        (Ok(()), None) => Box::pin(answer_all(respond, wire, note, peer, drain)).await,
        (Ok(()), Some(ending)) => {
            if ending == Ending::NoFirstByte {
                respond.turned_away(Some(peer), "first_byte");
            }
            wire.close().await;
        }
        (Err(error), _) => tracing::debug!(%peer, %error, "connection.broken"),
    }
}

/// Lets hyper read the requests of a wire on which one has begun.
async fn answer_all<R: Respond, Io>(
    respond: Arc<R>,
    wire: Wire<Io, R>,
    note: Arc<Note>,
    peer: IpAddr,
    drain: CancellationToken,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = respond.limits();
    let service = service_fn(|request| {
        let (respond, note) = (Arc::clone(&respond), Arc::clone(&note));
        Box::pin(async move {
            let first_byte_at = note.first_byte_at().unwrap_or_else(Instant::now);
            let arrival = Arrival {
                peer,
                first_byte_at,
                note: Arc::clone(&note),
            };
            let answer = respond.respond(arrival, request).await;
            note.answered();
            Ok::<Answer, Infallible>(answer)
        })
    });
    let mut http = http1::Builder::new();
    // The wire has counted them; hyper is quicker about the number it likes best.
    if limits.headers > HYPERS_HEADERS_MAX {
        http.max_headers(limits.headers);
    }
    let mut connection = http
        // The wire says when a connection ends, and has all the timers.
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes.saturating_mul(2).max(64 << 10))
        .serve_connection(TokioIo::new(wire), service);
    let mut ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = drain.cancelled() => None,
    };
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        ended = timeout(
            limits.drain,
            poll_fn(|cx| connection.poll_without_shutdown(cx)),
        )
        .await
        .ok();
    }
    let wire = connection.into_parts().io.into_inner();
    if let Some(Err(error)) = &ended {
        tracing::debug!(%peer, %error, "connection.broken");
    }
    if ended.is_some() {
        wire.close().await;
    }
}

/// Who is connected. The count of an address is gone with its last connection.
#[derive(Debug, Default)]
struct Seats(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The right to be connected; given back when dropped.
struct Seat<R: Respond> {
    seats: Arc<Seats>,
    respond: Arc<R>,
    peer: IpAddr,
}

impl Seats {
    /// `Err` is the label under which the refusal is counted.
    fn take<R: Respond>(
        self: &Arc<Self>,
        respond: &Arc<R>,
        peer: IpAddr,
    ) -> Result<Seat<R>, &'static str> {
        let limits = respond.limits();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.total >= limits.connections {
            return Err("connections");
        }
        let of_peer = held.by_peer.entry(neighbourhood(peer)).or_default();
        // Behind a proxy everybody has its address.
        if *of_peer >= limits.connections_per_ip && !respond.is_proxy(peer) {
            return Err("connections_per_ip");
        }
        *of_peer += 1;
        held.total += 1;
        respond.metrics().connections.inc();
        Ok(Seat {
            seats: Arc::clone(self),
            respond: Arc::clone(respond),
            peer: peer.to_canonical(),
        })
    }
}

impl<R: Respond> Drop for Seat<R> {
    fn drop(&mut self) {
        let mut held = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.total = held.total.saturating_sub(1);
        let peer = neighbourhood(self.peer);
        if let Some(of_peer) = held.by_peer.get_mut(&peer) {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                held.by_peer.remove(&peer);
            }
        }
        self.respond.metrics().connections.dec();
    }
}
