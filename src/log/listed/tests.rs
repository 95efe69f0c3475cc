//! The list finds what a look at every letter would find, and forgets whole.

use super::*;

/// A letter to be listed.
#[derive(Clone, Debug)]
struct Told {
    at: Offset,
    destination: String,
    event_type: String,
    key: Option<String>,
    died: u64,
    reason: Reason,
}

impl Told {
    fn number(number: u64) -> Self {
        let pick = |from: &[&str]| from[usize::try_from(number).unwrap() % from.len()].to_owned();
        let key = pick(&["shop/1", "shop/22", "", "long", "chat/3"]);
        Self {
            at: Offset(number * 8),
            destination: pick(&["crm", "bi"]),
            event_type: pick(&["paid", "post_a", "post_b"]),
            key: match key.as_str() {
                "" => None,
                "long" => Some(format!("shop/{}", "x".repeat(300))),
                _ => Some(key),
            },
            died: number,
            reason: Reason::ALL[usize::try_from(number).unwrap() % 4],
        }
    }

    fn card(&self) -> Card<'_> {
        Card {
            owed_at: self.at,
            at: Timestamp::from_millis(self.died),
            reason: self.reason,
            destination: &self.destination,
            source: "shop",
            event_type: &self.event_type,
            key: self.key.as_deref(),
        }
    }
}

fn listed(count: u64) -> (Index, Vec<Told>) {
    let mut index = Index::default();
    let told: Vec<Told> = (1..=count).map(Told::number).collect();
    for one in &told {
        index.add(one.at, &one.card());
    }
    (index, told)
}

/// All that is found, look by look.
fn all(index: &Index, filter: &Filter, mut span: Span, limit: usize) -> Vec<(Offset, Doubt)> {
    let mut found = Vec::new();
    loop {
        let looked = index.look(filter, span, limit, 7);
        found.extend(looked.found);
        match looked.last {
            None => return found,
            Some(last) if span.newest_first => span.before = Some(last),
            Some(last) => span.after = Some(last),
        }
    }
}

#[test]
fn every_filter_finds_what_looking_at_each_letter_finds() {
    let (index, told) = listed(100);
    let filter = |set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        filter
    };
    type Takes = fn(&Told) -> bool;
    let cases: Vec<(Filter, Takes)> = vec![
        (Filter::default(), |_| true),
        (filter(&|f| f.destination = Some("bi".into())), |one| {
            one.destination == "bi"
        }),
        (filter(&|f| f.destination = Some("nobody".into())), |_| {
            false
        }),
        (filter(&|f| f.source = Some("shop".into())), |_| true),
        (filter(&|f| f.source = Some("bi".into())), |_| false),
        (filter(&|f| f.event_type = Some("post_?".into())), |one| {
            one.event_type != "paid"
        }),
        (filter(&|f| f.reason = Some(Reason::Gone)), |one| {
            one.reason == Reason::Gone
        }),
        (
            filter(&|f| f.since = Some(Timestamp::from_millis(60))),
            |one| one.died >= 60,
        ),
        (
            filter(&|f| f.until = Some(Timestamp::from_millis(60))),
            |one| one.died <= 60,
        ),
        (filter(&|f| f.key = Some("chat/*".into())), |one| {
            // Of a long key only the letter can tell.
            one.key
                .as_ref()
                .is_some_and(|key| key == "chat/3" || key.len() > 256)
        }),
        (filter(&|f| f.key = Some("shop/22".into())), |one| {
            one.key
                .as_ref()
                .is_some_and(|key| key == "shop/22" || key.len() > 256)
        }),
    ];
    for (filter, takes) in cases {
        for newest_first in [false, true] {
            let (after, before) = (Some(Offset(80)), Some(Offset(640)));
            let span = Span {
                after,
                before,
                newest_first,
            };
            let within = |at: Offset| at > Offset(80) && at < Offset(640);
            let mut expected: Vec<Offset> = told
                .iter()
                .filter(|one| takes(one) && within(one.at))
                .map(|one| one.at)
                .collect();
            if newest_first {
                expected.reverse();
            }
            let found = all(&index, &filter, span, 3);
            let found: Vec<Offset> = found.into_iter().map(|(at, _)| at).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}

#[test]
fn only_long_keys_are_in_doubt() {
    let (index, told) = listed(50);
    let filter = Filter {
        key: Some("shop/*".to_owned()),
        ..Filter::default()
    };
    for (at, doubt) in all(&index, &filter, Span::default(), 100) {
        let one = told.iter().find(|one| one.at == at).unwrap();
        let long = one.key.as_ref().unwrap().len() > KEY_BYTES_MAX;
        assert_eq!(doubt == Doubt::Key, long, "{one:?}");
    }
}

#[test]
fn a_span_that_ends_before_it_begins_is_empty() {
    let (index, _) = listed(10);
    for before in [Offset(16), Offset(8)] {
        let span = Span {
            after: Some(Offset(16)),
            before: Some(before),
            newest_first: false,
        };
        assert!(all(&index, &Filter::default(), span, 5).is_empty());
    }
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let (mut index, told) = listed(60);
    let crm = DestinationName::from("crm");
    assert_eq!((index.total(), index.count(&crm)), (60, 30));
    assert_eq!(index.letter_of(Offset(16), "crm"), Some(Offset(16)));
    assert_eq!(index.letter_of(Offset(16), "bi"), None);
    index.add(Offset(4096), &told[1].card());
    assert_eq!(index.total(), 60, "a copy has one letter");
    for one in &told {
        assert!(index.remove(one.at));
        assert!(!index.remove(one.at));
    }
    assert_eq!((index.total(), index.count(&crm)), (0, 0));
    assert!(index.counts.is_empty() && index.copies.is_empty());
    for word in ["crm", "bi", "shop", "paid", "post_a"] {
        assert_eq!(index.words.number(word), None, "{word}");
    }
}
