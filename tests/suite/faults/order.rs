//! Order within a conversation, under failures and kills.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::http::Connection;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::scale;
use crate::support::sender::{message, signed};

use super::kill::text_of;

/// P3: for each (destination, conversation) the first successful arrivals come
/// in accepted order, whatever fails and whenever the process dies.
#[test]
fn a_conversation_stays_in_order_under_failures_and_kills() {
    let rooms = scale("HOOKFAN_ORDER_ROOMS", 60);
    let each = scale("HOOKFAN_ORDER_EVENTS", 20);
    let proof = Proof::of("order");
    let mut dice = 7_u64;
    let receiver = Receiver::answering(move |_| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if (dice >> 33).is_multiple_of(5) {
            Reply::Status(503)
        } else {
            Reply::Status(200)
        }
    });
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.chat]\nkind = \"http\"\nurl = \"{}/\"\norder = \"conversation\"\nallow_private = true\n\
         concurrency = 16\nretry = {{ delays = [\"20ms\"], for = \"1h\" }}\nbreaker = {{ failures = 1000, probe_every = \"100ms\" }}\n\
         [[route]]\nfrom = \"qiscus\"\nto = \"chat\"\n",
        receiver.url()
    );
    let mut gateway = Gateway::start(&rules);
    let third = (each / 4).max(1);
    for number in 0..each {
        if number > 0 && number % third == 0 && number / third <= 3 {
            gateway.kill();
            gateway.run();
        }
        // One event of every room, several rooms at a time; acknowledged before the next round.
        std::thread::scope(|scope| {
            for lane in 0..8 {
                let address = gateway.ingress;
                scope.spawn(move || {
                    let mut connection = Connection::open(address).unwrap();
                    for room in (lane..rooms).step_by(8) {
                        let text = format!("{room}:{number}");
                        let body = message(room, &text, &text);
                        let answer = connection
                            .ask("POST", "/hooks/qiscus", &signed(&body), &body)
                            .unwrap();
                        assert_eq!(answer.status, 200);
                    }
                });
            }
        });
    }
    gateway.drained(Duration::from_secs(120));

    let mut last: HashMap<String, usize> = HashMap::new();
    let mut arrived_at_all = 0;
    receiver.with(|arrived| {
        for one in arrived.iter().filter(|one| one.status == 200) {
            let text = text_of(&one.request);
            let (room, number) = text.split_once(':').unwrap();
            let number: usize = number.parse().unwrap();
            let expected = last.get(room).map_or(0, |last| last + 1);
            // A kill may repeat what was delivered; it may never skip ahead.
            assert!(
                number <= expected,
                "room {room}: {number} came before {expected}"
            );
            if number == expected {
                arrived_at_all += 1;
                last.insert(room.to_owned(), number);
            }
        }
    });
    assert_eq!(arrived_at_all, rooms * each, "every event arrived");
    proof.found(serde_json::json!({
        "conversations": rooms,
        "events of each": each,
        "attempts that fail, %": 20,
        "kills": 3,
        "inversions": 0,
        "lost": 0,
    }));
}
