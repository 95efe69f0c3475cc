//! Dixa, which can lose an answer after it has done what was asked: nothing is
//! created twice, nothing is said twice, whatever is killed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hookfan::emulate::{Endpoint, Fault, Faults, Limit, When, dixa};
use serde_json::json;

use crate::e2e::emulators::Emulated;
use crate::support::gateway::Gateway;
use crate::support::http::Connection;
use crate::support::proof::Proof;
use crate::support::scale;
use crate::support::sender::signed;

const KEY: &str = "dixa-test-key";
const ROOMS: usize = 3;

fn said(user: usize, room: usize, number: usize) -> Vec<u8> {
    let customer = format!("user-{user}@example.com");
    json!({
        "type": "post_comment_mobile",
        "payload": {
            "from": {"id": user, "email": customer, "name": format!("User {user}")},
            "room": {"id": format!("{user}-{room}"), "topic_id": 1, "type": "single", "name": "r",
                     "participants": [{"id": user, "email": customer}]},
            "message": {"type": "text", "text": format!("{user}/{room}/{number}"), "payload": {},
                        "unique_temp_id": format!("{user}-{room}-{number}")}
        }
    })
    .to_string()
    .into_bytes()
}

/// Every message once and in its order, in one conversation for each room, of
/// one end user for each customer.
fn check(emulator: &Emulated, users: usize, each: usize) {
    let end_users: Vec<_> = emulator.dixa().end_users();
    let names: HashSet<_> = end_users.iter().map(|user| &user.external_id).collect();
    assert_eq!((end_users.len(), names.len()), (users, users), "end users");
    let conversations = emulator.dixa().conversations();
    assert_eq!(conversations.len(), users * ROOMS, "conversations");
    let mut rooms: HashMap<String, Vec<String>> = HashMap::new();
    for conversation in &conversations {
        let texts: Vec<String> = conversation
            .messages
            .iter()
            .map(|one| one.text.clone())
            .collect();
        let room = texts[0].rsplit_once('/').unwrap().0.to_owned();
        assert!(
            rooms.insert(room, texts).is_none(),
            "one conversation a room"
        );
    }
    for (room, texts) in rooms {
        let expected: Vec<String> = (0..each).map(|number| format!("{room}/{number}")).collect();
        assert_eq!(texts, expected);
    }
    let counts = emulator.counts();
    let refused: Vec<_> = emulator
        .calls()
        .into_iter()
        .filter_map(|call| call.refused)
        .collect();
    assert_eq!(
        (counts.refused, refused),
        (0, Vec::new()),
        "what a strict Dixa would refuse"
    );
}

#[test]
fn dixa_has_everything_once_though_answers_are_lost_and_the_gateway_is_killed() {
    let users = scale("HOOKFAN_DIXA_USERS", 8);
    let each = scale("HOOKFAN_DIXA_MESSAGES", 6);
    let kills = 5;
    let proof = Proof::of("dixa");
    // As strict as the documented limit, and fast enough for a test.
    let limit = Limit {
        per_second: u32::try_from(scale("HOOKFAN_DIXA_RATE", 200)).unwrap(),
        burst: 4,
    };
    let options = dixa::Options {
        limit: Some(limit),
        ..dixa::Options::default()
    };
    let chance = When::Chance {
        share: 0.1,
        seed: 7,
    };
    let faults = Faults::of(chance, Fault::LostAnswer);
    let emulator = Emulated::start(Endpoint::Dixa(options), KEY, faults);
    let rules = format!(
        "[log]\nmin_free = \"16MiB\"\n[destination.helpdesk]\nkind = \"dixa\"\nbase_url = \"{}/beta\"\n\
         api_key = {{ file = \"dixa-key\" }}\nrate = \"{}/s\"\nburst = 3\nallow_private = true\n\
         retry = {{ delays = [\"50ms\"], for = \"1h\" }}\nbreaker = {{ failures = 1000, probe_every = \"100ms\" }}\n\
         [[route]]\nfrom = \"qiscus\"\nto = \"helpdesk\"\n",
        emulator.url(),
        limit.per_second * 9 / 10,
    );
    let mut gateway = Gateway::prepare(&rules);
    gateway.secret("dixa-key", KEY);
    gateway.run();
    let mut connection = Connection::open(gateway.ingress).unwrap();
    for number in 0..each {
        for user in 0..users {
            for room in 0..ROOMS {
                let body = said(user, room, number);
                let answer = connection
                    .ask("POST", "/hooks/qiscus", &signed(&body), &body)
                    .unwrap();
                assert_eq!(answer.status, 200);
            }
        }
        if number < kills {
            gateway.kill();
            gateway.run();
            connection = Connection::open(gateway.ingress).unwrap();
        }
    }
    gateway.drained(Duration::from_secs(120 + (users * ROOMS * each) as u64 / 4));
    check(&emulator, users, each);
    let peak = emulator.dixa().peak_rate();
    assert!(
        peak <= (limit.per_second + limit.burst) as usize,
        "{peak} within a second"
    );
    let row = gateway.destination("helpdesk");
    assert_eq!(row["delivered"], users * ROOMS * each, "{row}");
    proof.found(serde_json::json!({
        "users": users,
        "conversations of each": ROOMS,
        "messages of each": each,
        "answers lost, %": 10,
        "kills": kills,
        "calls": emulator.counts().calls,
        "faults": emulator.counts().faults,
        "messages missing, twice or out of order": 0,
    }));
}
