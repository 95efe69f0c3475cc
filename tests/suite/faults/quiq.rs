//! Quiq, whose every webhook shows the whole conversation again.

use std::collections::HashMap;
use std::time::Duration;

use hookfan::emulate::{Endpoint, Faults};
use serde_json::{Value, json};

use crate::e2e::emulators::Emulated;
use crate::support::gateway::Gateway;
use crate::support::http::Connection;
use crate::support::proof::Proof;
use crate::support::receiver::Receiver;
use crate::support::scale;

const TOKEN: &str = "quiq-hook-token";
const KEY: &str = "dimension-key";

fn headers() -> Vec<(String, String)> {
    vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-centricient-hook-token".to_owned(), TOKEN.to_owned()),
    ]
}

/// Every third message is the agent's.
fn is_customers(number: usize) -> bool {
    !number.is_multiple_of(3)
}

fn snapshot(conversation: usize, shown: usize, envelope: &str) -> Vec<u8> {
    let handle = format!("+1406555{conversation:04}");
    let messages: Vec<Value> = (0..shown)
        .map(|number| {
            json!({
                "id": format!("{conversation}-{number}"), "sourcePlatform": "SMS", "assets": [],
                "fromCustomer": is_customers(number),
                "author": if is_customers(number) { handle.as_str() } else { "agent-1" },
                "text": format!("{conversation}/{number}"), "timestamp": 1_700_000_000_000_u64 + number as u64,
            })
        })
        .collect();
    json!({
        "id": envelope, "eventType": "ConversationActivated", "timestamp": 1_700_000_000_000_u64,
        "data": {"id": format!("c{conversation}"), "status": "active", "customerPlatform": "SMS",
                 "customerHandle": handle, "messages": messages},
    })
    .to_string()
    .into_bytes()
}

#[test]
fn each_message_of_a_growing_conversation_goes_once_in_order_and_to_the_right_user() {
    let conversations = scale("HOOKFAN_QUIQ_CONVERSATIONS", 20);
    let each = scale("HOOKFAN_QUIQ_MESSAGES", 12);
    let proof = Proof::of("quiq");
    let emulator = Emulated::start(Endpoint::Dimension, KEY, Faults::default());
    let receiver = Receiver::start();
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n[source.quiq]\nkind = \"quiq\"\nauth = {{ scheme = \"quiq\", secret = {{ file = \"quiq-token\" }} }}\n\
         [destination.strict]\nkind = \"dimension\"\nbase_url = \"{}\"\napi_key = {{ file = \"dimension-key\" }}\nallow_private = true\nwhen_late = \"now\"\n\
         [destination.analytics]\nkind = \"dimension\"\nbase_url = \"{}\"\napi_key = {{ file = \"dimension-key\" }}\nallow_private = true\nwhen_late = \"now\"\n\
         [[route]]\nfrom = \"quiq\"\non = \"ConversationMessage\"\nto = [\"strict\", \"analytics\"]\n",
        emulator.url(),
        receiver.url(),
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("quiq-token", TOKEN);
    gateway.secret("dimension-key", KEY);
    gateway.run();
    let mut connection = Connection::open(gateway.ingress).unwrap();
    for pair in (1..=each).step_by(2) {
        if pair == ((each / 2) | 1) {
            gateway.kill();
            gateway.run();
            connection = Connection::open(gateway.ingress).unwrap();
        }
        for conversation in 0..conversations {
            // The later one first, and each twice under two envelopes.
            for (shown, envelope) in [(pair + 1, "a"), (pair, "a"), (pair + 1, "b"), (pair, "b")] {
                let shown = shown.min(each);
                let body = snapshot(
                    conversation,
                    shown,
                    &format!("{conversation}-{shown}-{envelope}"),
                );
                let answer = connection
                    .ask("POST", "/hooks/quiq", &headers(), &body)
                    .unwrap();
                assert_eq!(answer.status, 200);
            }
        }
    }
    gateway.drained(Duration::from_secs(120));

    let total = conversations * each;
    let counts = emulator.counts();
    assert_eq!((counts.events, counts.refused), (total as u64, 0));
    let mut next: HashMap<String, usize> = HashMap::new();
    for arrived in receiver.gets(total) {
        let body = arrived.request.json();
        let text = body["text"].as_str().unwrap();
        let (conversation, number) = text.split_once('/').unwrap();
        let (number, expected) = (
            number.parse::<usize>().unwrap(),
            next.entry(conversation.to_owned()).or_default(),
        );
        // A kill may repeat what was delivered just before it.
        assert!(number <= *expected, "{text} came before {expected}");
        *expected = (*expected).max(number + 1);
        let handle = format!("+1406555{:04}", conversation.parse::<usize>().unwrap());
        assert_eq!(body["userId"], handle, "{text}");
        let incoming = arrived.request.target.contains("type=incoming");
        assert_eq!(incoming, is_customers(number), "{}", arrived.request.target);
    }
    assert!(next.values().all(|reached| *reached == each), "{next:?}");
    proof.found(serde_json::json!({
        "conversations": conversations,
        "messages of each": each,
        "kills": 1,
        "messages missing, twice or out of order": 0,
    }));
}
