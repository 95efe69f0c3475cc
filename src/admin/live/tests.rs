//! One look for all, never more often than it says, never for nobody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A stage with a number that can be seen.
struct Stage {
    live: Arc<Live>,
    tasks: TaskTracker,
    drain: CancellationToken,
    looks: Arc<AtomicU64>,
    number: Arc<AtomicU64>,
}

impl Stage {
    fn new() -> Self {
        Self {
            live: Arc::default(),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            looks: Arc::default(),
            number: Arc::default(),
        }
    }

    fn join(&self) -> Result<Stream, Refusal> {
        self.join_with(CancellationToken::new())
    }

    fn join_with(&self, hang_up: CancellationToken) -> Result<Stream, Refusal> {
        let (looks, number) = (Arc::clone(&self.looks), Arc::clone(&self.number));
        self.live.join(&self.tasks, &self.drain, hang_up, move || {
            let looked = looks.fetch_add(1, Ordering::Relaxed);
            let number = number.load(Ordering::Relaxed);
            Seen {
                now: looked.to_string(),
                rest: Bytes::from(format!("{{\"n\":{number}}}")),
            }
        })
    }

    fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    fn set(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}

/// The number of the next line, and after how long it came.
async fn next(stream: &mut Stream) -> Option<(u64, Duration)> {
    let start = now();
    let frame = stream.frames.recv().await?;
    let text = std::str::from_utf8(&frame).unwrap();
    let data = text.strip_prefix("event: status\ndata: ").unwrap();
    let value: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
    assert!(value["now"].is_string() && data.ends_with("\n\n"));
    Some((value["n"].as_u64().unwrap(), start.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn a_line_comes_at_once_then_only_with_news_and_at_least_every_ten_seconds() {
    let stage = Stage::new();
    let mut stream = stage.join().unwrap();
    assert_eq!(next(&mut stream).await, Some((0, Duration::ZERO)));
    stage.set(1);
    assert_eq!(next(&mut stream).await, Some((1, PERIOD)));
    let (number, after) = next(&mut stream).await.unwrap();
    assert_eq!((number, after), (1, SILENCE_MAX));
}

#[tokio::test(start_paused = true)]
async fn it_looks_once_for_all_and_never_for_nobody() {
    let stage = Stage::new();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.looks(), 0, "nobody listens");
    let mut streams: Vec<Stream> = (0..10).map(|_| stage.join().unwrap()).collect();
    for round in 0..20 {
        stage.set(round);
        for stream in &mut streams {
            assert_eq!(next(stream).await.unwrap().0, round);
        }
    }
    assert_eq!(stage.looks(), 20);
    drop(streams);
    tokio::time::sleep(PERIOD * 2).await;
    let looks = stage.looks();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.looks(), looks, "nobody listens any more");
    assert!(stage.tasks.is_empty());
    stage.set(77);
    assert_eq!(next(&mut stage.join().unwrap()).await.unwrap().0, 77);
}

#[tokio::test(start_paused = true)]
async fn a_late_comer_hears_at_once_what_was_said_last() {
    let stage = Stage::new();
    let mut first = stage.join().unwrap();
    next(&mut first).await;
    let looks = stage.looks();
    let mut second = stage.join().unwrap();
    assert_eq!(next(&mut second).await, Some((0, Duration::ZERO)));
    assert_eq!(stage.looks(), looks);
}

#[tokio::test(start_paused = true)]
async fn the_thirty_third_stream_is_refused_until_one_leaves() {
    let stage = Stage::new();
    let mut streams: Vec<Stream> = (0..READERS_MAX).map(|_| stage.join().unwrap()).collect();
    let refused = stage.join().unwrap_err();
    assert_eq!(refused.status.as_u16(), 503);
    assert!(refused.retry_after.is_some());
    streams.pop();
    assert!(stage.join().is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_holds_one_line_and_is_hung_up_on() {
    let stage = Stage::new();
    let hang_up = CancellationToken::new();
    let lazy = stage.join_with(hang_up.clone()).unwrap();
    let mut quick = stage.join().unwrap();
    let mut seconds = 0;
    while !hang_up.is_cancelled() {
        seconds += 1;
        assert!(seconds < 100, "it is hung up on in the end");
        stage.set(seconds);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(lazy.frames.len() <= 1);
        while quick.frames.try_recv().is_ok() {}
    }
    let patience = PATIENCE.as_secs();
    assert!((patience..patience + 3).contains(&seconds), "{seconds}");
    stage.set(1000);
    assert_eq!(next(&mut quick).await.unwrap().0, 1000, "others go on");
}

#[tokio::test(start_paused = true)]
async fn the_streams_end_when_the_gateway_drains() {
    let stage = Stage::new();
    let mut stream = stage.join().unwrap();
    next(&mut stream).await;
    stage.drain.cancel();
    assert_eq!(next(&mut stream).await, None);
    stage.tasks.close();
    stage.tasks.wait().await;
    assert_eq!(stage.join().unwrap_err().status.as_u16(), 503);
}
