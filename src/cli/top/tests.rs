//! `top` as it looks and as it answers keys, without a terminal or a gateway.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::draw;
use super::model::{Deed, Input, Key, Line, Model, Over};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Four destinations, one of each state, `beat` seconds into a steady flow.
fn status(beat: u64) -> Value {
    let row = |name: &str, kind: &str, state: &str, delivered: u64, pending: u64| {
        json!({
            "name": name, "kind": kind, "target": format!("https://{name}.example"), "state": state,
            "delivered": delivered, "dead": 3, "dropped": 0, "dead_letters": 2,
            "pending": pending, "pending_bytes": pending * 700, "in_flight": 0,
            "oldest_seconds": null, "last_error": null,
        })
    };
    let mut analytics = row(
        "analytics",
        "dimension",
        "delivering",
        5_000 + beat * 12,
        14,
    );
    analytics["oldest_seconds"] = json!(2);
    analytics["in_flight"] = json!(4);
    let mut crm = row("crm", "dixa", "failing", 812, 123_456);
    crm["oldest_seconds"] = json!(7_384);
    crm["last_error"] = json!({
        "at": "2026-11-21T11:59:03.120Z", "outcome": "5xx",
        "detail": "503: {\"message\":\"the service is under maintenance until this evening, please come back later\"}",
    });
    let mut paused = row("warehouse", "http", "paused", 99, 40_000);
    paused["paused_by"] = json!("operator");
    paused["oldest_seconds"] = json!(90);
    json!({
        "trouble": null,
        "sources": [
            {"name": "qiscus", "accepted": 9_000 + beat * 12},
            {"name": "shop", "accepted": 4},
        ],
        "destinations": [analytics, crm, row("dashboards", "dashbot", "idle", 40, 0), paused],
    })
}

/// After half a minute of it, polled.
fn watched() -> Model {
    let mut model = Model::new("127.0.0.1:9090", false);
    for beat in 0..30 {
        told(&mut model, status(beat), beat);
    }
    model
}

fn told(model: &mut Model, status: Value, at: u64) {
    let deeds = model.take(
        Input::Status {
            status,
            live: false,
        },
        seconds(at),
    );
    assert_eq!(deeds, []);
}

fn press(model: &mut Model, keys: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for letter in keys.chars() {
        let key = match letter {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            letter => Key::Letter(letter),
        };
        deeds = model.take(Input::Key(key), seconds(30));
    }
    deeds
}

fn drawn(model: &Model, wide: u16, high: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(wide, high)).unwrap();
    terminal.draw(|frame| draw::whole(model, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn it_looks_like_this_on_every_size() {
    let mut model = watched();
    press(&mut model, "j");
    insta::assert_snapshot!("list_80x24", drawn(&model, 80, 24));
    insta::assert_snapshot!("list_40x16", drawn(&model, 40, 16));
    insta::assert_snapshot!("list_120x30", drawn(&model, 120, 30));
    // Whatever the size, it does not panic.
    for (wide, high) in [(1, 1), (2, 2), (10, 3), (39, 5), (300, 90)] {
        drawn(&model, wide, high);
    }
}

#[test]
fn a_gateway_that_is_gone_is_said_and_the_last_figures_stay() {
    let mut model = watched();
    let why = "no gateway answers at 127.0.0.1:9090".to_owned();
    model.take(Input::Lost(why.clone()), seconds(31));
    model.take(Input::Lost(why), seconds(44));
    assert!(matches!(&model.line, Line::Lost(since, _) if *since == seconds(31)));
    let shown = drawn(&model, 80, 24);
    assert!(shown.contains("GONE for 13s, trying again"), "{shown}");
    assert!(shown.contains("analytics"), "{shown}");
    told(&mut model, status(45), 45);
    assert_eq!(model.line, Line::Polled);
}

#[test]
fn a_pause_is_asked_for_first_and_only_y_does_it() {
    let mut model = watched();
    assert_eq!(press(&mut model, "jp"), []);
    assert!(drawn(&model, 80, 24).contains("Pause crm? Its events wait in the log. y/n"));
    assert_eq!(press(&mut model, "n"), []);
    assert!(drawn(&model, 80, 24).contains("nothing was changed"));
    press(&mut model, "p");
    assert_eq!(press(&mut model, "y"), [Deed::Pause("crm".to_owned())]);
    press(&mut model, "r");
    assert_eq!(press(&mut model, "y"), [Deed::Resume("crm".to_owned())]);
    // Ctrl-C always ends it, whatever is asked.
    press(&mut model, "p");
    assert_eq!(model.take(Input::Key(Key::Stop), seconds(30)), [Deed::Quit]);
}

#[test]
fn the_selection_stays_with_its_destination_when_rows_move() {
    let mut model = watched();
    press(&mut model, "jjj");
    assert_eq!(model.selected_row().unwrap().name, "warehouse");
    press(&mut model, "s");
    assert_eq!(model.selected_row().unwrap().name, "warehouse");
    let order: Vec<&str> = model.shown().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(order, ["crm", "warehouse", "analytics", "dashboards"]);
    // Of many rows the selected one is on the screen.
    let mut many = status(31);
    many["destinations"] = (0..200)
        .map(|number| json!({"name": format!("d{number:03}"), "state": "idle"}))
        .collect();
    told(&mut model, many, 31);
    press(&mut model, "G");
    let shown = drawn(&model, 80, 24);
    assert!(
        shown.contains("▶ d199") && !shown.contains("d000"),
        "{shown}"
    );
}

#[test]
fn a_filter_narrows_and_says_so() {
    let mut model = watched();
    press(&mut model, "fDASH");
    assert_eq!(model.over, Over::Filter);
    press(&mut model, "\n");
    let shown = drawn(&model, 80, 24);
    assert!(shown.contains("1 of 4 with \"DASH\""), "{shown}");
    assert!(
        shown.contains("dashboards") && !shown.contains("warehouse"),
        "{shown}"
    );
    press(&mut model, "\x1b");
    assert_eq!(model.shown().len(), 4);
    press(&mut model, "fq\n");
    assert!(drawn(&model, 80, 24).contains("nothing has \"q\"; esc clears the filter"));
}

#[test]
fn one_destination_fills_the_screen_with_its_hour() {
    let mut model = watched();
    press(&mut model, "j");
    let asked = press(&mut model, "\n");
    assert_eq!(asked, [Deed::History("crm".to_owned())]);
    assert!(drawn(&model, 80, 24).contains("asking"));
    let samples: Vec<Value> = (0..360)
        .map(|at: u64| {
            json!({
                "delivered": (at % 60) * 3, "failed": at / 40, "pending": at * 300,
                "attempt_ms": {"p50": 41.5, "p99": 912.0},
            })
        })
        .collect();
    let answer = json!({"every_seconds": 10, "samples": samples});
    model.take(Input::History("crm".to_owned(), Ok(answer)), seconds(31));
    insta::assert_snapshot!("detail_80x24", drawn(&model, 80, 24));
    insta::assert_snapshot!("detail_40x20", drawn(&model, 40, 20));
    // It is asked again when there is a new sample, and not before.
    assert_eq!(model.take(Input::Tick, seconds(38)), []);
    let again = model.take(Input::Tick, seconds(41));
    assert_eq!(again, [Deed::History("crm".to_owned())]);
    let none = Err("there is no such page".to_owned());
    model.take(Input::History("crm".to_owned(), none), seconds(42));
    assert!(drawn(&model, 80, 24).contains("not to be had: there is no such page"));
}

#[test]
fn times_are_columns_when_asked_for() {
    let mut model = watched();
    let asked = press(&mut model, "l");
    assert_eq!(asked.len(), 4);
    let samples =
        json!({"samples": [{"attempt_ms": {"p50": 41.5, "p99": 912.0}}, {"attempt_ms": null}]});
    model.take(Input::History("crm".to_owned(), Ok(samples)), seconds(31));
    let shown = drawn(&model, 120, 24);
    let row = shown.lines().find(|line| line.contains("crm")).unwrap();
    assert!(row.contains("     42") && row.contains("    912"), "{row}");
    assert!(!drawn(&watched(), 120, 24).contains("p99"));
}

#[test]
fn help_lies_over_everything_and_any_key_closes_it() {
    let mut model = watched();
    press(&mut model, "?");
    insta::assert_snapshot!("help_80x24", drawn(&model, 80, 24));
    assert!(drawn(&model, 40, 16).contains("select"));
    assert_eq!(press(&mut model, "q"), []);
    assert_eq!(press(&mut model, "q"), [Deed::Quit]);
}

#[test]
fn a_rate_the_gateway_tells_counts_more_than_ours() {
    let mut model = watched();
    let row = |model: &Model| model.rows[0].rate;
    assert!((row(&model) - 12.0).abs() < 0.01, "{}", row(&model));
    let mut told_by_it = status(30);
    told_by_it["destinations"][0]["rate"] = json!(77.0);
    told(&mut model, told_by_it, 30);
    assert!((row(&model) - 77.0).abs() < 0.01);
}

#[test]
fn a_gateway_in_trouble_is_said_first() {
    let mut model = watched();
    let mut bad = status(31);
    bad["trouble"] = json!("the disk is full");
    told(&mut model, bad, 31);
    assert!(drawn(&model, 80, 24).contains("NOT READY: the disk is full"));
}
