//! The admin address itself: bounded connections, the guard before everything,
//! a time limit on every answer, and the headers that all of them carry.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Body};
use super::{House, Refusal, dispatch, guard};

const CONNECTIONS_MAX: usize = 256;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// Ends one connection: a reader of `live` that does not read.
#[derive(Clone, Debug)]
pub(super) struct HangUp(pub(super) CancellationToken);

/// Serves until `drain` is cancelled.
pub async fn serve(listener: TcpListener, house: House, drain: CancellationToken) {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = drain.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin.accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        connections.spawn(connection(stream, house.clone()));
    }
}

async fn connection(stream: TcpStream, house: House) {
    let hang_up = CancellationToken::new();
    let given = HangUp(hang_up.clone());
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let house = house.clone();
        request.extensions_mut().insert(given.clone());
        async move { Ok::<_, Infallible>(answer(&house, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!(%error, "admin.connection");
        },
        () = hang_up.cancelled() => tracing::info!("admin.hung_up: a reader of `live` does not read"),
    }
}

/// One request to its answer: the guard first, then the console's own files,
/// then the table.
async fn answer(house: &House, request: Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let headers = request.headers();
    let mut page = false;
    let answered = match guard::admit(house, &method, &path, headers) {
        Err(refusal) => Err(refusal),
        Ok(guard::Admitted::Page) => {
            page = true;
            dispatch::page(&path)
        }
        Ok(guard::Admitted::Caller) => {
            let answering = tokio::time::timeout(ANSWER_PATIENCE, dispatch::answer(house, request));
            answering.await.unwrap_or_else(|_elapsed| {
                let said = "it took longer than a minute; narrow the filter";
                Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, said))
            })
        }
    };
    let mut response = answered.unwrap_or_else(|refusal| refusal.answer());
    answer::secure(&mut response, page);
    response
}
