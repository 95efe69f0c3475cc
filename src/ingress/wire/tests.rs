//! What is passed on, and when, over a wire that is cut anywhere.

use tokio::io::duplex;

use super::*;

struct Defaults;

impl Watch for Defaults {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn refused(&self, _peer: IpAddr, _refusal: Refusal) {}
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_only_when_the_answer_before_it_is_flushed() {
    let (mut client, note, mut wire) = wire(1 << 10);
    let good = b"POST /hooks/a HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(good).await.unwrap();
    client.write_all(b"BAD\r\n").await.unwrap();
    let mut head = vec![0; 1 << 10];
    assert_eq!(wire.read(&mut head).await.unwrap(), good.len());
    // An interim answer is flushed too; it is not the answer.
    wire.flush().await.unwrap();
    let ended = timeout(Duration::from_secs(1), wire.read(&mut head)).await;
    assert!(ended.is_err(), "{ended:?}");
    note.answered();
    wire.flush().await.unwrap();
    assert_eq!(wire.read(&mut head).await.unwrap(), 0);
    assert_eq!(wire.ending(), Some(Ending::Refused(Refusal::RequestLine)));
}

fn wire(
    packet: usize,
) -> (
    tokio::io::DuplexStream,
    Arc<Note>,
    Wire<impl AsyncRead + AsyncWrite + Unpin, Defaults>,
) {
    let (client, server) = duplex(packet);
    let (note, peer) = (Arc::new(Note::default()), IpAddr::from([192, 0, 2, 7]));
    let wire = Wire::new(server, Arc::new(Defaults), Arc::clone(&note), peer);
    (client, note, wire)
}

const SIZED: &[u8] = b"POST /hooks/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
const CHUNKED: &[u8] =
    b"POST /hooks/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_whole_is_passed_on_at_once_and_what_is_behind_it_later() {
    let (mut client, _note, mut wire) = wire(1 << 12);
    let mut room = vec![0; 1 << 12];
    for _ in 0..2 {
        client
            .write_all(&[SIZED, SIZED, b"POST /h"].concat())
            .await
            .unwrap();
        assert_eq!(wire.read(&mut room).await.unwrap(), SIZED.len());
        // From the inbox: a head, then a body.
        let head = wire.read(&mut room).await.unwrap();
        let body = wire.read(&mut room).await.unwrap();
        assert_eq!(head + body, SIZED.len());
        let late = timeout(Duration::from_secs(1), wire.read(&mut room)).await;
        assert!(late.is_err(), "{late:?}");
        client
            .write_all(SIZED.strip_prefix(b"POST /h").unwrap())
            .await
            .unwrap();
        let head = wire.read(&mut room).await.unwrap();
        assert_eq!(wire.read(&mut room).await.unwrap(), SIZED.len() - head);
    }
}

#[tokio::test]
async fn every_byte_is_passed_on_once_however_it_comes_and_is_asked_for() {
    let all = [SIZED, CHUNKED, SIZED, SIZED, CHUNKED].concat();
    for (packet, room) in [1, 7, 60, 1 << 12]
        .into_iter()
        .flat_map(|packet| [1, 9, 1 << 12].map(|room| (packet, room)))
    {
        let (mut client, note, mut wire) = wire(packet);
        let said = all.clone();
        let mut sender = tokio::task::JoinSet::new();
        sender.spawn(async move { client.write_all(&said).await });
        let (mut passed, mut room) = (Vec::new(), vec![0; room]);
        loop {
            let bytes = wire.read(&mut room).await.unwrap();
            passed.extend_from_slice(&room[..bytes]);
            note.answered();
            wire.flush().await.unwrap();
            if bytes == 0 {
                break;
            }
        }
        assert!(
            passed == all && wire.ending() == Some(Ending::Quiet),
            "{packet}"
        );
        sender.join_next().await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn damaged_chunks_do_not_take_the_head_before_them_with_them() {
    let (mut client, note, mut wire) = wire(1 << 12);
    let head = CHUNKED.strip_suffix(b"3\r\nabc\r\n0\r\n\r\n").unwrap();
    client
        .write_all(&[head, b"3\r\nabcd"].concat())
        .await
        .unwrap();
    let mut room = vec![0; 1 << 12];
    assert_eq!(wire.read(&mut room).await.unwrap(), head.len());
    assert!(wire.read(&mut room).await.is_err());
    assert_eq!(note.broken(), Some(Broken::Chunks));
}
