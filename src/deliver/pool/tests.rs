//! Connections are used again, those that cannot be are not, and none stays
//! open for nobody.

use std::net::SocketAddr;
use std::task::Waker;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::deliver::connector::System;
use crate::deliver::guard::Allow;

fn pool(lines_max: usize) -> Pool {
    let allow = Allow {
        private: true,
        link_local: true,
    };
    let connector = Connector::new(allow, None, Arc::new(System::new()));
    Pool::new(connector, http1::Builder::new(), lines_max)
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn request(address: SocketAddr) -> Sent {
    Request::get(format!("http://{address}/path?q=1"))
        .header("host", address.to_string())
        .body(Full::default())
        .unwrap()
}

/// Reads one head and gives the answer.
async fn answer(socket: &mut TcpStream, with: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    socket.write_all(with.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn ask(pool: &Pool, address: SocketAddr) -> Bytes {
    let head = pool.ask(request(address)).await.unwrap();
    head.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_is_used_again() {
    let ((listener, address), pool) = (server().await, pool(8));
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let first = answer(&mut socket, OK).await;
        (first, answer(&mut socket, OK).await)
    };
    let asks = async {
        assert_eq!(ask(&pool, address).await, "ok");
        assert_eq!(pool.0.idle.lock().idle.len(), 1);
        assert_eq!(ask(&pool, address).await, "ok");
    };
    let ((first, second), ()) = tokio::join!(serve, asks);
    assert!(first.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{first}");
    assert_eq!(first, second);
}

#[tokio::test]
async fn connections_that_were_closed_while_they_idled_are_not_used() {
    let ((listener, address), pool) = (server().await, pool(8));
    let serve = async || {
        let (mut socket, _) = listener.accept().await.unwrap();
        answer(&mut socket, OK).await;
        socket
    };
    let (first, second) = (ask(&pool, address), ask(&pool, address));
    let served = async { [serve().await, serve().await] };
    let (mut sockets, ..) = tokio::join!(served, first, second);
    for socket in &mut sockets {
        socket.shutdown().await.unwrap();
    }
    // One has seen its end; the end of the other has arrived by then, too, but
    // will be seen when it is used.
    let uri: Uri = format!("http://{address}/").parse().unwrap();
    let mut line = pool.0.idle.take(&uri).unwrap();
    while line.is_ready() {
        tokio::task::yield_now().await;
        line.drive(&mut Context::from_waker(Waker::noop()));
    }
    pool.0.idle.put(line);
    assert_eq!(pool.0.idle.lock().idle.len(), 2);
    let (_third, body) = tokio::join!(serve(), ask(&pool, address));
    assert_eq!(body, "ok");
    for socket in &mut sockets {
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_is_closed() {
    let ((listener, address), pool) = (server().await, pool(8));
    let asks = async { drop(pool.ask(request(address)).await.unwrap()) };
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        answer(
            &mut socket,
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        )
        .await;
        socket.read(&mut [0]).await.unwrap_or(0)
    };
    let ((), left) = tokio::join!(asks, serve);
    assert_eq!((left, pool.0.idle.lock().idle.len()), (0, 0));
}

#[tokio::test]
async fn no_more_idle_than_may_and_none_for_longer_than_may() {
    let ((listener, address), pool) = (server().await, pool(2));
    let mut served = JoinSet::new();
    let serve = async {
        for _ in 0..3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            served.spawn(async move {
                answer(&mut socket, OK).await;
                socket.read(&mut [0]).await
            });
        }
    };
    let asks = async {
        // All at once, so that none can use another's.
        let heads = tokio::join!(
            pool.ask(request(address)),
            pool.ask(request(address)),
            pool.ask(request(address))
        );
        for head in [heads.0, heads.1, heads.2] {
            head.unwrap().into_body().collect().await.unwrap();
        }
    };
    tokio::join!(serve, asks);
    assert_eq!(pool.0.idle.lock().idle.len(), 2);
    let now = Instant::now();
    assert!(pool.0.idle.close_old(now).is_some());
    assert_eq!(pool.0.idle.close_old(now + IDLE_MAX), None);
    assert_eq!(pool.0.idle.lock().idle.len(), 0);
    assert!(
        !pool.0.idle.lock().watched,
        "the next to idle is watched anew"
    );
}
