//! One connection, several requests: order, reuse, bodies, refusals.

use super::*;

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let house = House::new(Limits::default());
    let chunked = post(
        "a",
        "Transfer-Encoding: chunked\r\n",
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let all = [sized("a", "1"), chunked, sized("a", ""), sized("a", "4444")].concat();
    let text = say(&house, &all).await;
    let bodies: Vec<&str> = text.split(['<', '>']).skip(1).step_by(2).collect();
    assert_eq!(
        (statuses(&text), bodies),
        (vec![200; 4], vec!["1:1", "5:abcde", "0:", "4:4444"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_reused() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = connect(&house, 1 << 20, &CancellationToken::new());
    for round in 0..20 {
        let body = "x".repeat(round * 4001);
        for packet in sized("a", &body).as_bytes().chunks(1000) {
            client.write_all(packet).await.unwrap();
        }
        assert_eq!(statuses(&until(&mut client, ">").await), [200]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_answered_after_what_came_before_it() {
    let house = House::new(Limits::default());
    let bad = [
        ("GET /hooks/a HTTP/1.1\nHost: a\n\n", 400),
        (
            "POST /hooks/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (
            "POST /hooks/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
    ];
    for (bad, status) in bad {
        let text = say(&house, &format!("{bad}{}", sized("a", "smuggled"))).await;
        assert_eq!(statuses(&text), [status]);
        assert!(
            text.contains("Connection: close\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        let text = say(
            &house,
            &format!("{}{bad}{}", sized("a", "abc"), sized("a", "smuggled")),
        )
        .await;
        assert_eq!(statuses(&text), [200, status], "{text}");
    }
    assert_eq!(house.refused.lock().unwrap().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_waits_for_a_slow_answer_before_it() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = connect(&house, 1 << 20, &CancellationToken::new());
    client
        .write_all(format!("{}BAD\r\n", sized("hold", "abc")).as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_secs(2)).await;
    house.gate_of_hold.add_permits(1);
    assert_eq!(statuses(&rest(&mut client).await), [200, 400]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_slowly_is_not_lost_to_a_refusal_behind_it() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = connect(&house, 16, &CancellationToken::new());
    let bytes = format!("{}BAD\r\n", sized("a", "abc"));
    client.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while let Ok(byte) = client.read_u8().await {
        text.push(byte);
        sleep(Duration::from_millis(50)).await;
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(statuses(&text), [200, 400], "{text}");
    assert!(text.contains("<3:abc>HTTP/1.1 400"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn bodies_over_the_limit_are_refused_with_and_without_a_length() {
    let house = House::new(Limits::default());
    let (exact, over) = ("x".repeat(100_000), "x".repeat(100_001));
    assert_eq!(statuses(&say(&house, &sized("a", &exact)).await), [200]);
    let text = say(
        &house,
        &format!("{}{}", sized("a", &over), sized("a", "abc")),
    )
    .await;
    assert_eq!(statuses(&text), [413]);
    assert!(text.contains("connection: close\r\n"), "{text}");
    let chunks = format!("{:x}\r\n{over}\r\n0\r\n\r\n", over.len());
    assert_eq!(
        statuses(
            &say(
                &house,
                &post("a", "Transfer-Encoding: chunked\r\n", &chunks)
            )
            .await
        ),
        [413]
    );
    // Refused by its length alone.
    assert_eq!(
        statuses(
            &say(
                &house,
                &post("a", "Content-Length: 9999999999999999999\r\n", "")
            )
            .await
        ),
        [413]
    );
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_a_little_is_read_before_the_connection_is_dropped() {
    let house = House::new(Limits::default());
    // A pipe of 1 KiB shows how much was read.
    let (mut client, mut tasks) = connect(&house, 1024, &CancellationToken::new());
    let head = post("a", "Content-Length: 10000000\r\n", "");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut sent = 0;
    let piece = [b'x'; 1024];
    while client.write_all(&piece).await.is_ok() {
        sent += piece.len();
    }
    // Enough that the refusal is not overtaken by a reset.
    assert!(
        (64 << 10..=80 << 10).contains(&sent),
        "{sent} bytes were read"
    );
    assert_eq!(statuses(&rest(&mut client).await), [413]);
    ended(&mut tasks).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_under_way_have_a_budget() {
    let house = House::new(Limits {
        body_in_flight: 1000,
        ..Limits::default()
    });
    let (mut first, _tasks) = connect(&house, 1 << 20, &CancellationToken::new());
    first
        .write_all(sized("hold", &"x".repeat(800)).as_bytes())
        .await
        .unwrap();
    wait_for("the first is held", || {
        house.held.load(Ordering::SeqCst) == 1
    })
    .await;
    let text = say(&house, &sized("a", &"x".repeat(201))).await;
    assert_eq!(statuses(&text), [503]);
    assert!(text.contains("retry-after: 1\r\n"), "{text}");
    assert_eq!(
        statuses(&say(&house, &sized("a", &"x".repeat(200))).await),
        [200]
    );
    house.gate_of_hold.add_permits(1);
    until(&mut first, ">").await;
    assert_eq!(
        statuses(&say(&house, &sized("a", &"x".repeat(1000))).await),
        [200]
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_is_asked_for_only_when_it_is_wanted() {
    let house = House::new(Limits::default());
    let (mut client, _tasks) = connect(&house, 1 << 20, &CancellationToken::new());
    client
        .write_all(post("a", "Content-Length: 3\r\nExpect: 100-continue\r\n", "").as_bytes())
        .await
        .unwrap();
    assert_eq!(statuses(&until(&mut client, "\r\n\r\n").await), [100]);
    client.write_all(b"abc").await.unwrap();
    assert_eq!(statuses(&until(&mut client, "<3:abc>").await), [200]);

    client
        .write_all(
            post(
                "a",
                "Content-Length: 100001\r\nExpect: 100-continue\r\n",
                "",
            )
            .as_bytes(),
        )
        .await
        .unwrap();
    assert_eq!(statuses(&rest(&mut client).await), [413]);
    let text = say(
        &house,
        "PUT /hooks/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    )
    .await;
    assert_eq!(statuses(&text), [405]);
    assert!(text.contains("allow: POST\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_or_cut_body_is_refused() {
    let house = House::new(Limits::default());
    for body in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n0\r\n\r\n",
        "zz\r\n",
        "3\r\nab",
    ] {
        let text = say(&house, &post("a", "Transfer-Encoding: chunked\r\n", body)).await;
        assert_eq!(statuses(&text), [400], "{body:?}");
    }
    assert_eq!(
        statuses(&say(&house, &post("a", "Content-Length: 5\r\n", "abc")).await),
        [400]
    );
}

#[tokio::test(start_paused = true)]
async fn old_and_closing_senders_are_let_go_after_one_answer() {
    let house = House::new(Limits::default());
    let old = "POST /hooks/a HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let closing = post("a", "Content-Length: 3\r\nConnection: close\r\n", "abc");
    for first in [old, &closing] {
        let (mut client, _tasks) = connect(&house, 1 << 20, &CancellationToken::new());
        client.write_all(first.as_bytes()).await.unwrap();
        let start = Instant::now();
        assert_eq!(statuses(&rest(&mut client).await), [200]);
        assert!(start.elapsed() <= LINGER, "{:?}", start.elapsed());
    }
}

const LINGER: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn as_many_headers_are_taken_as_the_limit_says_and_not_one_more() {
    for headers in [3, 100, 150] {
        let house = House::new(Limits {
            headers,
            ..Limits::default()
        });
        for (more, expected) in [(0, 200), (1, 431)] {
            // Beside Host and Content-Length.
            let lines: String = (2..headers + more)
                .map(|number| format!("X-{number}: 1\r\n"))
                .collect();
            let request = post("a", &format!("Content-Length: 1\r\n{lines}"), "1");
            let text = say(&house, &request).await;
            assert_eq!(statuses(&text), [expected], "{headers} and {more}");
        }
    }
}
