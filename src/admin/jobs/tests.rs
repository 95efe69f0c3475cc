//! Jobs are bounded, can be watched and stopped, and repeat nothing.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::event::{Action, Event, EventType, Owed};
use crate::log::{Accepted, Log, Settings};
use crate::settle::{Reason, Settlement};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn house(folder: &Path) -> House {
    let (clock, metrics) = (crate::clock::Clock::following_tokio(START), Arc::default());
    let settings = Settings {
        data_dir: folder.to_owned(),
        retain: DAY,
        retain_dead: 30 * DAY,
        dead_letters_max: 1_000_000,
        max_disk: 1 << 40,
        min_free: 0,
        dedupe: 3 * DAY,
        segment_bytes: 1 << 20,
    };
    let (log, _) = Log::open(settings, clock.clone(), Arc::clone(&metrics)).unwrap();
    let (commands, _nobody_follows) = tokio::sync::mpsc::channel(1);
    House {
        log,
        links: crate::links::Links::open(folder).unwrap(),
        accounts: Default::default(),
        clock,
        metrics,
        front: Arc::default(),
        in_force: Arc::default(),
        workers: Arc::default(),
        progress: Arc::default(),
        commands,
        tls: None,
        sampler: Arc::default(),
        live: Arc::default(),
        jobs: Arc::default(),
        tasks: Default::default(),
        drain: CancellationToken::new(),
    }
}

/// Lets so many copies die.
async fn bury(house: &House, count: u64) {
    let mut sink = house.log.subscribe(&"crm".into());
    for number in 0..count {
        let event = Event {
            id: EventId::new(house.clock.now(), u128::from(number)),
            source: "shop".into(),
            kind: "generic".into(),
            event_type: EventType::from("paid"),
            key: Some(format!("shop/{number}").into()),
            vendor_id: None,
            direction: None,
            user: None,
            accepted_at: house.clock.now(),
            hops: 0,
            headers: Vec::new(),
            body: Bytes::from_static(b"{}"),
        };
        let owed = vec![Owed {
            destination: "crm".into(),
            action: Action::message(),
        }];
        house
            .log
            .append(vec![Accepted { event, owed }])
            .await
            .unwrap();
        let stored = sink.next().await.stored;
        sink.settle(stored.offset, Settlement::Dead(Reason::Refused), None, "no");
    }
    while house.log.totals()["crm"].dead_letters < count {
        tokio::task::yield_now().await;
    }
}

/// Waits for a job's end.
async fn ended(house: &House, job: &Value) -> Value {
    let id = job["job"]["id"].as_str().unwrap();
    loop {
        let shown = house.jobs.show(id).unwrap();
        if shown["state"] != "running" {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

async fn refused(house: &House, asked: Value) -> u16 {
    start(house, &asked).await.unwrap_err().status.as_u16()
}

#[tokio::test]
async fn a_job_does_all_of_it_and_doing_it_again_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    bury(&house, 7).await;
    let asked = json!({"what": "dead:retry", "destination": "crm", "key": "shop/?"});
    let begun = start(&house, &asked).await.unwrap();
    assert_eq!(begun["job"]["total"], 7);
    assert_eq!(
        begun["job"]["selection"],
        json!({"destination": "crm", "key": "shop/?"})
    );
    let done = ended(&house, &begun).await;
    assert_eq!((&done["state"], &done["done"]), (&json!("done"), &json!(7)));
    assert_eq!((&done["copies"], &done["skipped"]), (&json!(7), &json!(0)));
    assert_eq!(house.log.totals()["crm"].owed, 14);

    let again = start(&house, &asked).await.unwrap();
    let again = ended(&house, &again).await;
    assert_eq!((&again["total"], &again["done"]), (&json!(0), &json!(0)));
    assert_eq!(house.log.totals()["crm"].owed, 14, "nothing is owed twice");
    let list = house.jobs.list();
    assert_eq!(list["jobs"][0]["id"], again["id"], "newest first");
    house.log.close().await;
}

#[tokio::test]
async fn a_stopped_job_leaves_the_rest_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    bury(&house, 20).await;
    let asked = json!({"what": "dead:drop", "all": true});
    let begun = start(&house, &asked).await.unwrap();
    let same = start(&house, &asked).await.unwrap();
    assert_eq!(
        begun["job"]["id"], same["job"]["id"],
        "a double click is one job"
    );
    house
        .jobs
        .stop(begun["job"]["id"].as_str().unwrap())
        .unwrap();
    let ended = ended(&house, &begun).await;
    assert_eq!(ended["state"], "stopped");
    let left = house.log.totals()["crm"].dead_letters;
    assert_eq!(left + ended["done"].as_u64().unwrap(), 20);
    assert!(left > 0);
    house.log.close().await;
}

#[tokio::test]
async fn four_run_and_fifty_that_ended_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    let enter = |number: u64| {
        let stop = house.drain.child_token();
        house.jobs.enter(
            "replay",
            json!({"key": number.to_string()}),
            None,
            START,
            stop,
        )
    };
    let running: Vec<_> = (0..4).map(|number| enter(number).unwrap().0).collect();
    let refusal = enter(4).unwrap_err();
    assert_eq!(refusal.status.as_u16(), 429);
    assert!(refusal.retry_after.is_some());
    assert_eq!(house.jobs.running(), 4);
    for job in &running {
        job.end(State::Done, None, START);
    }
    for number in 10..100 {
        enter(number).unwrap().0.end(State::Done, None, START);
    }
    let list = house.jobs.list();
    assert_eq!(list["jobs"].as_array().unwrap().len(), 50, "and no more");
    assert!(house.jobs.show(&running[0].id).is_err());
    house.log.close().await;
}

#[tokio::test]
async fn a_drain_stops_jobs_and_lets_none_begin() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    bury(&house, 30).await;
    let begun = start(&house, &json!({"what": "dead:retry", "all": true}))
        .await
        .unwrap();
    house.drain.cancel();
    house.tasks.close();
    house.tasks.wait().await;
    assert_eq!(ended(&house, &begun).await["state"], "stopped");
    assert_eq!(
        refused(&house, json!({"what": "dead:drop", "all": true})).await,
        503
    );
    house.log.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_begins() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path());
    for asked in [
        json!([]),
        json!({}),
        json!({"what": "burn", "all": true}),
        json!({"what": "replay"}),
        json!({"what": "dead:retry", "all": true, "route": true}),
        json!({"what": "dead:retry", "ids": ["1", "x"]}),
        json!({"what": "replay", "ids": ["1"]}),
        json!({"what": "replay", "all": true, "route": 1}),
        json!({"what": "replay", "all": true, "route": true, "to": ["crm"]}),
        json!({"what": "dead:retry", "reason": "because"}),
    ] {
        assert_eq!(refused(&house, asked.clone()).await, 400, "{asked}");
    }
    let unknown = json!({"what": "replay", "all": true, "to": ["crm"]});
    assert_eq!(refused(&house, unknown).await, 404);
    assert_eq!(house.jobs.list(), json!({"jobs": []}));
    house.log.close().await;
}
