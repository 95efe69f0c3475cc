//! What conversations and users here are called over there, and there called
//! here: a link between two keyed systems is written both ways.
//!
//! Unlike customers, which teach themselves again, these are durable before
//! anybody acts on them: a lost one would create a conversation twice.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::{Links, LinksError, Shared};
use crate::event::Key;
use crate::link::{Counterpart, Place, Standing, What};

/// What, ours, place: a counterpart as JSON.
const COUNTERPART: TableDefinition<'_, (&str, &str, &str), &str> =
    TableDefinition::new("counterpart");

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Link {
    pub what: What,
    /// A conversation's key, or `<source>/<user>`.
    pub ours: String,
    pub place: Place,
    pub counterpart: Counterpart,
}

/// A link to be written or, with `to` absent, removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub what: What,
    pub ours: String,
    pub place: Place,
    pub to: Option<Counterpart>,
}

/// Which links; absent: all.
#[derive(Clone, Debug, Default)]
pub struct LinkFilter {
    pub what: Option<What>,
    pub place: Option<Place>,
    /// `ours` begins so.
    pub ours: Option<String>,
}

impl Links {
    /// What `ours` is called at `place`. An error is none of "not linked".
    pub async fn counterpart(
        &self,
        what: What,
        ours: &str,
        place: &Place,
    ) -> Result<Option<Counterpart>, LinksError> {
        let (ours, place) = (ours.to_owned(), place.clone());
        self.blocking(move |shared| shared.counterpart(what, &ours, &place))
            .await
    }

    /// As [`Links::counterpart`] for whoever only looks. Blocks.
    pub fn read_counterpart(&self, what: What, ours: &str, place: &Place) -> Option<Counterpart> {
        let found = self.handle.shared.counterpart(what, ours, place);
        found.unwrap_or_default()
    }

    /// Writes all or none; durable when it returns. A conversation's link to
    /// the place of a source is written the other way round, too.
    pub async fn edit(&self, edits: Vec<Edit>) -> Result<(), LinksError> {
        self.blocking(move |shared| {
            shared.edit(&edits).or_else(|_failed| {
                // After one failure redb takes nothing more until it is opened again.
                shared.open_again()?;
                shared.edit(&edits)
            })
        })
        .await
    }

    /// A conversation's own system says how it stands: whoever is linked to it
    /// may act on that. What cannot be written is only not acted on.
    pub async fn stand(&self, key: &Key, standing: Standing) {
        let theirs = key.clone();
        let written = self
            .blocking(move |shared| shared.stand(theirs.as_str(), standing))
            .await;
        if let Err(error) = written
            && self.handle.shared.may_say()
        {
            tracing::warn!(%key, %error, "writing a conversation's standing failed");
        }
    }

    /// Links in order, after `after`, at most `limit`.
    pub async fn list(
        &self,
        filter: LinkFilter,
        after: Option<Link>,
        limit: usize,
    ) -> Result<Vec<Link>, LinksError> {
        self.blocking(move |shared| shared.list(&filter, after.as_ref(), limit))
            .await
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, LinksError> {
        let shared = self.handle.shared.clone();
        let path = shared.path.clone();
        let failed = |message: String| LinksError { path, message };
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(panicked) => Err(failed(panicked.to_string())),
        }
    }
}

impl Shared {
    fn counterpart(
        &self,
        what: What,
        ours: &str,
        place: &Place,
    ) -> Result<Option<Counterpart>, redb::Error> {
        self.reading(|table| {
            let found = table.get((word(what), ours, place.as_str()))?;
            found.map(|found| parse(found.value())).transpose()
        })
        .map(Option::flatten)
    }

    fn list(
        &self,
        filter: &LinkFilter,
        after: Option<&Link>,
        limit: usize,
    ) -> Result<Vec<Link>, redb::Error> {
        let listed = self.reading(|table| {
            let mut links = Vec::new();
            let from = after.map_or(("", "", ""), |link| {
                (word(link.what), link.ours.as_str(), link.place.as_str())
            });
            for entry in table.range(from..)? {
                let (key, value) = entry?;
                let link = link(key.value(), value.value())?;
                if after.is_some_and(|after| {
                    after.what == link.what && after.ours == link.ours && after.place == link.place
                }) || !filter.takes(&link)
                {
                    continue;
                }
                if links.len() == limit {
                    break;
                }
                links.push(link);
            }
            Ok(links)
        })?;
        Ok(listed.unwrap_or_default())
    }

    fn edit(&self, edits: &[Edit]) -> Result<(), redb::Error> {
        self.writing(|transaction| {
            let mut table = transaction.open_table(COUNTERPART)?;
            for edit in edits {
                let key = (word(edit.what), edit.ours.as_str(), edit.place.as_str());
                let before = match table.get(key)? {
                    Some(before) => Some(parse(before.value())?),
                    None => None,
                };
                if let Some((ours, place)) = before.and_then(|before| mirror(edit, &before)) {
                    table.remove((word(edit.what), ours.as_str(), place.as_str()))?;
                }
                match &edit.to {
                    None => drop(table.remove(key)?),
                    Some(to) => {
                        table.insert(key, json(to).as_str())?;
                        if let (Some((ours, place)), Some((_, id))) =
                            (mirror(edit, to), edit.ours.split_once('/'))
                        {
                            let back = json(&Counterpart::open(id));
                            table.insert(
                                (word(edit.what), ours.as_str(), place.as_str()),
                                back.as_str(),
                            )?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn stand(&self, theirs: &str, standing: Standing) -> Result<(), redb::Error> {
        let Some((source, _)) = theirs.split_once('/') else {
            return Ok(());
        };
        let (what, here) = (word(What::Conversation), Place::of_source(source));
        // Most conversations are linked to nothing: that costs no commit.
        let partners = self.reading(|table| {
            let mut partners = Vec::new();
            for entry in table.range((what, theirs, "")..)? {
                let (key, value) = entry?;
                let link = link(key.value(), value.value())?;
                if word(link.what) != what || link.ours != theirs {
                    break;
                }
                if let Some(source) = link.place.source() {
                    partners.push(format!("{source}/{}", link.counterpart.id));
                }
            }
            Ok(partners)
        })?;
        let partners = partners.unwrap_or_default();
        if partners.is_empty() {
            return Ok(());
        }
        self.writing(|transaction| {
            let mut table = transaction.open_table(COUNTERPART)?;
            for ours in &partners {
                let key = (what, ours.as_str(), here.as_str());
                let known = match table.get(key)? {
                    Some(known) => Some(parse(known.value())?),
                    None => None,
                };
                if let Some(known) = known.filter(|known| known.standing != Standing::Creating) {
                    table.insert(key, json(&Counterpart { standing, ..known }).as_str())?;
                }
            }
            Ok(())
        })
    }

    /// `None`: there is no link at all yet.
    fn reading<T>(
        &self,
        read: impl FnOnce(
            &redb::ReadOnlyTable<(&'static str, &'static str, &'static str), &'static str>,
        ) -> Result<T, redb::Error>,
    ) -> Result<Option<T>, redb::Error> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        match database.begin_read()?.open_table(COUNTERPART) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => read(&table?).map(Some),
        }
    }

    pub(super) fn writing<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let transaction = database.begin_write()?;
        let written = write(&transaction)?;
        transaction.commit()?;
        Ok(written)
    }
}

impl LinkFilter {
    fn takes(&self, link: &Link) -> bool {
        self.what.is_none_or(|what| what == link.what)
            && self.place.as_ref().is_none_or(|place| *place == link.place)
            && self
                .ours
                .as_ref()
                .is_none_or(|ours| link.ours.starts_with(ours))
    }
}

/// Where the same link stands seen from the other side: only conversations,
/// and only where the other side has keys of its own.
fn mirror(edit: &Edit, counterpart: &Counterpart) -> Option<(String, Place)> {
    if edit.what != What::Conversation || counterpart.standing == Standing::Creating {
        return None;
    }
    let (source, _) = edit.ours.split_once('/')?;
    let theirs = edit.place.source()?;
    Some((
        format!("{theirs}/{}", counterpart.id),
        Place::of_source(source),
    ))
}

fn word(what: What) -> &'static str {
    match what {
        What::User => "user",
        What::Conversation => "conversation",
    }
}

fn link((what, ours, place): (&str, &str, &str), value: &str) -> Result<Link, redb::Error> {
    Ok(Link {
        what: if what == word(What::User) {
            What::User
        } else {
            What::Conversation
        },
        ours: ours.to_owned(),
        place: Place::parse(place),
        counterpart: parse(value)?,
    })
}

fn json(counterpart: &Counterpart) -> String {
    serde_json::json!({"id": counterpart.id, "standing": counterpart.standing}).to_string()
}

fn parse(text: &str) -> Result<Counterpart, redb::Error> {
    serde_json::from_str(text)
        .map_err(|error| redb::Error::Corrupted(format!("a link is no link: {error}")))
}
