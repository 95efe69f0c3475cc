//! Physical-limit proxy for a fan-out gateway: hyper server, tokio channels, hyper client.
//! Routes by the event type, keeps nothing on disk, never retries. One thread.
//!   mem_fanout --port 8080 --dests URL,URL,URL [--workers 32]
//! --workers is the number of keep-alive connections per destination.
//! --drop-every N, --dup-every N, --swap-every N: lose, repeat or swap with its successor every
//! N-th event of destination 1, to test that the sink and `verify` count such faults exactly.
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server, service::service_fn};
use hyper_util::rt::TokioIo;
use loadkit::{args::Args, net};
use std::{cell::RefCell, collections::HashMap, collections::VecDeque, rc::Rc};
use tokio::sync::Notify;

/// A destination's queue: unbounded, shared by its workers.
#[derive(Default)]
struct Queue {
    q: RefCell<VecDeque<Bytes>>,
    wake: Notify,
}

impl Queue {
    fn push(&self, b: Bytes) {
        self.q.borrow_mut().push_back(b);
        self.wake.notify_one();
    }
    async fn pop(&self) -> Bytes {
        loop {
            if let Some(b) = self.q.borrow_mut().pop_front() {
                return b;
            }
            self.wake.notified().await;
        }
    }
}

type Routes = HashMap<Vec<u8>, Vec<Rc<Queue>>>;

/// The value of the first `"type":"…"` of the body.
fn event_type(body: &[u8]) -> Option<&[u8]> {
    const K: &[u8] = b"\"type\":\"";
    let i = memchr::memmem::find(body, K)? + K.len();
    let n = memchr::memchr(b'"', &body[i..])?;
    Some(&body[i..i + n])
}

#[derive(Default)]
struct Faults {
    n: std::cell::Cell<u64>,
    drop: u64,
    dup: u64,
    swap: u64,
    held: RefCell<Option<Bytes>>,
}

impl Faults {
    fn push(&self, q: &Queue, b: Bytes) {
        let n = self.n.get() + 1;
        self.n.set(n);
        let hit = |every: u64| every > 0 && n % every == 0;
        if hit(self.drop) {
            return;
        }
        if hit(self.swap) {
            *self.held.borrow_mut() = Some(b);
            return;
        }
        if hit(self.dup) {
            q.push(b.clone());
        }
        q.push(b);
        if let Some(h) = self.held.borrow_mut().take() {
            q.push(h);
        }
    }
}

async fn handle(
    routes: Rc<Routes>,
    faults: Rc<Faults>,
    req: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = req.into_body().collect().await?.to_bytes();
    let mut r = Response::new(Full::new(Bytes::from_static(b"ok")));
    match event_type(&body).and_then(|t| routes.get(t)) {
        Some(qs) => {
            faults.push(&qs[0], body.clone());
            qs[1..].iter().for_each(|q| q.push(body.clone()));
        }
        None => *r.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(r)
}

async fn worker(q: Rc<Queue>, url: String) {
    let (addr, host, path) = net::parse_url(&url).unwrap();
    loop {
        let Ok(s) = tokio::net::TcpStream::connect(addr).await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let _ = s.set_nodelay(true);
        let Ok((mut tx, conn)) = hyper::client::conn::http1::handshake(TokioIo::new(s)).await
        else {
            continue;
        };
        tokio::task::spawn_local(conn);
        loop {
            let b = q.pop().await;
            let req = Request::post(path.as_str())
                .header("host", host.as_str())
                .header("content-type", "application/json")
                .body(Full::new(b))
                .unwrap();
            if tx.ready().await.is_err() {
                break;
            }
            match tx.send_request(req).await {
                Ok(r) => {
                    let _ = r.into_body().collect().await;
                }
                Err(_) => break,
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let a = Args::from_env();
    let port: u16 = a.num("--port", 8080);
    let workers: usize = a.num("--workers", 32);
    let dests = a.str(
        "--dests",
        "http://127.0.0.1:9101/,http://127.0.0.1:9102/,http://127.0.0.1:9103/",
    );
    let types = a.str(
        "--types",
        "post_comment_mobile,post_comment_rest,mark_resolved,assign_agent",
    );
    let local = tokio::task::LocalSet::new();
    let queues: Vec<Rc<Queue>> = dests.split(',').map(|_| Rc::default()).collect();
    let routes: Rc<Routes> = Rc::new(
        types
            .split(',')
            .map(|t| (t.as_bytes().to_vec(), queues.clone()))
            .collect(),
    );
    let faults = Rc::new(Faults {
        drop: a.num("--drop-every", 0),
        dup: a.num("--dup-every", 0),
        swap: a.num("--swap-every", 0),
        ..Default::default()
    });
    local
        .run_until(async move {
            for (q, d) in queues.iter().zip(dests.split(',')) {
                for _ in 0..workers {
                    tokio::task::spawn_local(worker(q.clone(), d.to_string()));
                }
            }
            let l = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
            println!("mem_fanout on {port}");
            loop {
                let (s, _) = l.accept().await?;
                s.set_nodelay(true)?;
                let (routes, faults) = (routes.clone(), faults.clone());
                tokio::task::spawn_local(async move {
                    let svc = service_fn(move |r| handle(routes.clone(), faults.clone(), r));
                    let _ = server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(s), svc)
                        .await;
                });
            }
        })
        .await
}
