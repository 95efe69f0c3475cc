//! Ingest limit: hyper 1 server that reads the body and answers 200. Nothing else.
//!   bare_ingest --port 8080
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use loadkit::args::Args;

async fn handle(req: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let _body = req.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = Args::from_env().num("--port", 8080);
    let l = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("bare_ingest on {port}");
    loop {
        let (s, _) = l.accept().await?;
        s.set_nodelay(true)?;
        tokio::spawn(async move {
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(s), service_fn(handle))
                .await;
        });
    }
}
