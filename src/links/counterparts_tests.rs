//! What links between systems promise.

use super::tests::{broken, open_fragile};
use super::*;
use crate::link::{Counterpart, Place, Standing, What};

fn edit(what: What, ours: &str, place: &Place, to: Option<Counterpart>) -> Edit {
    Edit {
        what,
        ours: ours.to_owned(),
        place: place.clone(),
        to,
    }
}

async fn is(links: &Links, ours: &str, place: &Place) -> Option<Counterpart> {
    links
        .counterpart(What::Conversation, ours, place)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_conversation_is_linked_both_ways_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let (dixa, rooms) = (Place::of_source("dixa"), Place::of_source("qiscus"));
    let to = |id: &str| Some(Counterpart::open(id));
    let creating = edit(
        What::Conversation,
        "qiscus/1",
        &dixa,
        Some(Counterpart::creating()),
    );
    links.edit(vec![creating]).await.unwrap();
    assert_eq!(
        is(&links, "qiscus/1", &dixa).await,
        Some(Counterpart::creating())
    );
    assert_eq!(is(&links, "dixa/", &rooms).await, None);

    let link = edit(What::Conversation, "qiscus/1", &dixa, to("100"));
    links.edit(vec![link]).await.unwrap();
    assert_eq!(is(&links, "dixa/100", &rooms).await, to("1"));
    links.close();
    drop(links);

    let links = Links::open(folder.path()).unwrap();
    assert_eq!(is(&links, "qiscus/1", &dixa).await, to("100"));
    let again = edit(What::Conversation, "qiscus/1", &dixa, to("200"));
    links.edit(vec![again]).await.unwrap();
    assert_eq!(
        is(&links, "dixa/100", &rooms).await,
        None,
        "the old way back"
    );
    assert_eq!(is(&links, "dixa/200", &rooms).await, to("1"));

    let gone = edit(What::Conversation, "qiscus/1", &dixa, None);
    links.edit(vec![gone]).await.unwrap();
    assert_eq!(is(&links, "dixa/200", &rooms).await, None);
    assert_eq!(is(&links, "qiscus/1", &dixa).await, None);
}

#[tokio::test]
async fn users_and_places_without_keys_are_linked_one_way() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let (dixa, sendy) = (Place::of_source("dixa"), Place::of_destination("sendy"));
    let edits = vec![
        edit(
            What::User,
            "qiscus/rina",
            &dixa,
            Some(Counterpart::open("u1")),
        ),
        edit(
            What::Conversation,
            "qiscus/1",
            &sendy,
            Some(Counterpart::open("c1")),
        ),
    ];
    links.edit(edits).await.unwrap();
    let all = links.list(LinkFilter::default(), None, 10).await.unwrap();
    let shown: Vec<String> = all
        .iter()
        .map(|link| format!("{} {} {}", link.ours, link.place, link.counterpart.id))
        .collect();
    assert_eq!(shown, ["qiscus/1 >sendy c1", "qiscus/rina dixa u1"]);
}

#[tokio::test]
async fn how_a_conversation_stands_reaches_who_is_linked_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let dixa = Place::of_source("dixa");
    links.stand(&"dixa/7".into(), Standing::Closed).await;
    for (ours, id) in [("qiscus/1", "100"), ("qiscus/2", "1000")] {
        let link = edit(What::Conversation, ours, &dixa, Some(Counterpart::open(id)));
        links.edit(vec![link]).await.unwrap();
    }
    links.stand(&"dixa/100".into(), Standing::Closed).await;
    let stands = is(&links, "qiscus/1", &dixa).await.unwrap().standing;
    assert_eq!(stands, Standing::Closed);
    let stands = is(&links, "qiscus/2", &dixa).await.unwrap().standing;
    assert_eq!(stands, Standing::Open, "1000 is not 100");
    links.stand(&"dixa/100".into(), Standing::Open).await;
    let stands = is(&links, "qiscus/1", &dixa).await.unwrap().standing;
    assert_eq!(stands, Standing::Open);
}

#[tokio::test]
async fn links_are_listed_in_pages_and_by_filter() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let places = [Place::of_destination("a"), Place::of_destination("b")];
    for n in 0..10 {
        let place = &places[n % 2];
        let link = edit(
            What::Conversation,
            &format!("qiscus/{n}"),
            place,
            Some(Counterpart::open("x")),
        );
        links.edit(vec![link]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = links.list(LinkFilter::default(), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|link| link.ours));
    }
    assert_eq!(
        seen,
        (0..10).map(|n| format!("qiscus/{n}")).collect::<Vec<_>>()
    );
    let filter = LinkFilter {
        place: Some(places[1].clone()),
        ours: Some("qiscus/3".to_owned()),
        ..LinkFilter::default()
    };
    assert_eq!(links.list(filter, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failing_disk_is_an_error_and_never_not_linked() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open_by(folder.path(), open_fragile).unwrap();
    let broken = broken(&folder.path().join("links.redb"));
    let place = Place::of_destination("a");
    let link = |id: &str| {
        edit(
            What::Conversation,
            "qiscus/1",
            &place,
            Some(Counterpart::open(id)),
        )
    };
    links.edit(vec![link("1")]).await.unwrap();
    File::create(&broken).unwrap();
    assert!(links.edit(vec![link("2")]).await.is_err());
    std::fs::remove_file(&broken).unwrap();
    links.edit(vec![link("3")]).await.unwrap();
    assert_eq!(is(&links, "qiscus/1", &place).await.unwrap().id, "3");
}
