//! Every deadline, to the second, in paused time.

use super::*;

/// When the connection ended, in whole seconds since `since`, and what came before.
async fn end_of(client: &mut DuplexStream, since: Instant) -> (u64, String) {
    let text = rest(client).await;
    (since.elapsed().as_secs(), text)
}

/// A connection that has written these bytes and says no more.
async fn after(house: &Arc<House>, bytes: &str) -> (DuplexStream, JoinSet<()>) {
    let (mut client, tasks) = connect(house, 1 << 20, &CancellationToken::new());
    client.write_all(bytes.as_bytes()).await.unwrap();
    (client, tasks)
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_without_a_word() {
    let house = House::new(Limits {
        first_byte: Duration::from_secs(7),
        ..Limits::default()
    });
    let start = Instant::now();
    let (mut client, _tasks) = after(&house, "").await;
    assert_eq!(end_of(&mut client, start).await, (7, String::new()));
    assert_eq!(house.refused_connections("first_byte"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_its_first_byte_however_slowly_it_drips() {
    let house = House::new(Limits::default());
    for beginning in [
        "P",
        "PRI * HTTP/2.0",
        "POST /hooks/a HTTP/1.1\r\nHost: a\r\n",
    ] {
        let (mut client, _tasks) = after(&house, "").await;
        sleep(Duration::from_secs(5)).await;
        let start = Instant::now();
        for byte in beginning.bytes() {
            client.write_all(&[byte]).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        let (secs, text) = end_of(&mut client, start).await;
        assert_eq!(
            (secs / 2, statuses(&text)),
            (5, vec![408]),
            "{beginning:?}: {secs}"
        );
        assert!(text.contains("Connection: close\r\n"));
    }
    assert_eq!(*house.refused.lock().unwrap(), [Refusal::HeadTimeout; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_time_however_slowly_it_drips() {
    let house = House::new(Limits::default());
    for (lines, drip) in [
        ("Content-Length: 1000\r\n", "a"),
        ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n"),
    ] {
        let start = Instant::now();
        let (mut client, _tasks) = after(&house, &post("a", lines, "")).await;
        for _ in 0..5 {
            sleep(Duration::from_secs(2)).await;
            client.write_all(drip.as_bytes()).await.unwrap();
        }
        let text = until(&mut client, "}").await;
        assert_eq!(
            (start.elapsed().as_secs(), statuses(&text)),
            (15, vec![408])
        );
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert!(rest(&mut client).await.is_empty());
        assert_eq!(house.gate.budget.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = after(&house, &sized("a", "abc")).await;
    assert_eq!(statuses(&until(&mut client, "<3:abc>").await), [200]);
    let start = Instant::now();
    assert_eq!(end_of(&mut client, start).await, (30, String::new()));
    assert_eq!(house.refused_connections("first_byte"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_read_its_answer_is_cut_off() {
    let house = House::new(Limits::default());
    // The pipe holds less than an answer, and nobody reads it.
    let (mut client, mut tasks) = connect(&house, 16, &CancellationToken::new());
    let start = Instant::now();
    client
        .write_all(sized("a", "abc").as_bytes())
        .await
        .unwrap();
    ended(&mut tasks).await;
    // The write deadline, and the second in which a close may linger.
    assert!(
        (10..=11).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn new_limits_hold_from_the_next_request_on() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = after(&house, &sized("a", "abc")).await;
    until(&mut client, "<3:abc>").await;
    house.limits.store(Arc::new(Limits {
        uri_bytes: 5,
        ..Limits::default()
    }));
    client
        .write_all(sized("a", "abc").as_bytes())
        .await
        .unwrap();
    assert_eq!(statuses(&rest(&mut client).await), [414]);
}

#[tokio::test(start_paused = true)]
async fn draining_closes_idle_connections_at_once() {
    let house = House::new(Limits::default());
    for first in ["", &sized("a", "abc")] {
        let drain = CancellationToken::new();
        let (mut client, _tasks) = connect(&house, 1 << 20, &drain);
        client.write_all(first.as_bytes()).await.unwrap();
        if !first.is_empty() {
            until(&mut client, "<3:abc>").await;
        }
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        drain.cancel();
        assert_eq!(end_of(&mut client, start).await, (0, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn draining_lets_a_request_finish_and_says_that_it_was_the_last() {
    let house = House::new(Limits::default());
    let drain = CancellationToken::new();
    let (mut client, _tasks) = connect(&house, 1 << 20, &drain);
    client
        .write_all(sized("hold", "abc").as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    drain.cancel();
    sleep(Duration::from_secs(1)).await;
    house.gate_of_hold.add_permits(1);
    let text = rest(&mut client).await;
    assert_eq!(statuses(&text), [200]);
    assert!(
        text.contains("connection: close\r\n") && text.ends_with("<3:abc>"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_a_request_as_long_as_the_limit_says() {
    let house = House::new(Limits::default());
    let drain = CancellationToken::new();
    let (mut client, mut tasks) = connect(&house, 1 << 20, &drain);
    client
        .write_all(sized("hold", "abc").as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    drain.cancel();
    let start = Instant::now();
    ended(&mut tasks).await;
    assert_eq!(start.elapsed().as_secs(), 10);
}
