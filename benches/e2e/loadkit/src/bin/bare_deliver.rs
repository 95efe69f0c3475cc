//! Delivery limit: hyper 1 client connections that POST webhook bodies to the sink, keep-alive.
//!   bare_deliver --dests http://127.0.0.1:9101/,http://127.0.0.1:9102/ --conns 16 --secs 10 --run 1
//! --conns is per destination. Prints copies per second.
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use loadkit::{args::Args, cpu_self, net, now_ns, token, webhook};
use std::{cell::Cell, rc::Rc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = Args::from_env();
    let dests = a.str(
        "--dests",
        "http://127.0.0.1:9101/,http://127.0.0.1:9102/,http://127.0.0.1:9103/",
    );
    let conns: usize = a.num("--conns", 16);
    let secs: f64 = a.num("--secs", 10.0);
    let run: u16 = a.num("--run", 1);
    let size: usize = a.num("--size", 1024);
    let end = now_ns() + (secs * 1e9) as u64;
    let done = Rc::new(Cell::new(0u64));
    let body = webhook::body_json("post_comment_mobile", size).into_bytes();
    let at = memchr::memmem::find(&body, b"@TTTT").unwrap();
    let local = tokio::task::LocalSet::new();
    let (t0, c0) = (now_ns(), cpu_self());
    let mut n = 0u64;
    for d in dests.split(',') {
        let (addr, host, path) = net::parse_url(d)?;
        for c in 0..conns as u64 {
            n += 1;
            let (host, path, body, done) = (host.clone(), path.clone(), body.clone(), done.clone());
            let id0 = c << 32;
            local.spawn_local(async move {
                let s = tokio::net::TcpStream::connect(addr).await.unwrap();
                s.set_nodelay(true).unwrap();
                let (mut tx, conn) = http1::handshake(TokioIo::new(s)).await.unwrap();
                tokio::task::spawn_local(conn);
                let mut i = 0u64;
                while now_ns() < end {
                    let mut b = body.clone();
                    let t = token::Token {
                        run,
                        seq: (id0 >> 32) + i * conns as u64,
                        key: c as u32,
                        kseq: i as u32,
                        t: now_ns(),
                    };
                    t.write(&mut b[at..at + token::LEN]);
                    i += 1;
                    let req = Request::post(path.as_str())
                        .header("host", host.as_str())
                        .header("content-type", "application/json")
                        .body(Full::new(Bytes::from(b)))
                        .unwrap();
                    if tx.ready().await.is_err() {
                        break;
                    }
                    match tx.send_request(req).await {
                        Ok(r) => {
                            let ok = r.status().is_success();
                            let _ = r.into_body().collect().await;
                            if ok {
                                done.set(done.get() + 1);
                            }
                        }
                        Err(_) => break,
                    }
                }
            });
        }
    }
    local.await;
    let el = (now_ns() - t0) as f64 / 1e9;
    println!(
        "{{\"copies\":{},\"secs\":{el:.3},\"copies_per_s\":{:.1},\"conns\":{n},\"cpu_share\":{:.3}}}",
        done.get(),
        done.get() as f64 / el,
        (cpu_self() - c0) / el
    );
    Ok(())
}
