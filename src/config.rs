//! routes.toml to checked values, or every complaint at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::decode::{Complaint, Decoder, Fields, Secrets, Severity};
use crate::deliver::Destination;
use crate::event::{DestinationName, SourceName};
use crate::ingress::{Acme, Limits, Source};
use crate::log;
use crate::route::Route;
use crate::secret::Secret;
use crate::vendor::{VENDORS, Vendor};

mod broken;
mod checks;
mod destination;
mod draw;
mod fetch;
mod files;
mod house;
mod mask;
mod named;
mod print;
mod restart;
mod route;
mod schema;
mod source;
mod tls;
#[cfg(test)]
mod tests;
pub mod watch;

use named::Named;

pub use mask::masked;
pub use print::Print;
pub use restart::needs_restart;
pub use schema::schema;

/// A configuration without errors.
#[derive(Debug)]
pub struct Config {
    pub server: Server,
    pub limits: Limits,
    pub log: log::Settings,
    pub sources: HashMap<SourceName, Arc<Source>>,
    /// Those of the files, and `<source>.fetch` of each source that asks its
    /// platform for what webhooks leave out.
    pub destinations: HashMap<DestinationName, Arc<Destination>>,
    /// In file order, then those to `<source>.fetch`; ready for a `RouteTable`.
    pub routes: Vec<Route>,
    /// Over the text of all files: 16 hex digits.
    pub hash: String,
    /// Equal where nothing changed, neither in a file nor behind a reference.
    pub print: Print,
    /// What `check` warns about.
    pub warnings: Vec<Complaint>,
    /// Every file read (main file, includes, secrets, certificates, CAs): all
    /// are watched. An include with a wildcard is listed as its pattern, so
    /// that a new file is noticed too.
    pub files: Vec<PathBuf>,
    /// The sources of the complaints' spans, by index. They are as written:
    /// whoever shows them calls [`masked`].
    pub texts: Vec<(PathBuf, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub tls: Option<TlsFrom>,
    pub admin_token: Option<Secret>,
    /// Further names that the admin address may be called by.
    pub admin_names: Vec<String>,
    pub proxies: Vec<IpNet>,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFrom {
    Files(TlsFiles),
    Acme(Box<Acme>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// All that is wrong, in file order, with the texts to draw it from.
#[derive(Clone, Debug)]
pub struct Complaints {
    pub complaints: Vec<Complaint>,
    pub texts: Vec<(PathBuf, String)>,
}

impl Complaints {
    pub fn has_errors(&self) -> bool {
        self.complaints
            .iter()
            .any(|complaint| complaint.severity == Severity::Error)
    }

    /// Drawn for a person: `file:line:col`, the source line, reason, help.
    /// Secrets typed into the file are masked.
    pub fn draw(&self, colour: bool) -> String {
        draw::draw(self, colour)
    }

    /// `{complaints:[{severity, file, line, column, message, help}]}`. Lines
    /// and columns count from 1, columns in characters.
    pub fn to_json(&self) -> serde_json::Value {
        draw::to_json(self)
    }
}

/// The warnings of a configuration, drawable.
impl From<&Config> for Complaints {
    fn from(config: &Config) -> Self {
        Self {
            complaints: config.warnings.clone(),
            texts: config.texts.clone(),
        }
    }
}

/// Reads a file, its includes, its secrets.
pub fn load(path: &Path, secrets: Secrets) -> Result<Config, Complaints> {
    let text = files::read(path).map_err(|message| Complaints {
        complaints: vec![Complaint {
            severity: Severity::Error,
            file: 0,
            span: 0..0,
            message,
            help: None,
        }],
        texts: vec![(path.to_owned(), String::new())],
    })?;
    assemble(text, path, secrets, VENDORS)
}

/// Reads text as if it were a file at `path` (the demo, tests).
pub fn load_text(text: &str, path: &Path, secrets: Secrets) -> Result<Config, Complaints> {
    assemble(text.to_owned(), path, secrets, VENDORS)
}

/// The whole way from texts to a configuration.
fn assemble(
    text: String,
    path: &Path,
    secrets: Secrets,
    vendors: &'static [&'static Vendor],
) -> Result<Config, Complaints> {
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut decoder = Decoder::new(secrets, base);
    let (texts, patterns) = files::gather(&mut decoder, text, path);
    let outcome = decode(&mut decoder, &texts, vendors);
    let mut complaints = decoder.complaints;
    complaints.sort_by_key(|complaint| (complaint.file, complaint.span.start, complaint.span.end));
    let failed = complaints
        .iter()
        .any(|complaint| complaint.severity == Severity::Error);
    let (Some(mut draft), false) = (outcome, failed) else {
        return Err(Complaints { complaints, texts });
    };
    let (asked, questions) = draft.fetching();
    let mut files: Vec<PathBuf> = texts.iter().map(|(path, _)| path.clone()).collect();
    files.extend(patterns);
    files.extend(
        draft
            .house
            .server
            .tls
            .iter()
            .flat_map(TlsFrom::files)
            .cloned(),
    );
    files.extend(
        draft
            .destinations
            .iter()
            .map(|(_, destination)| destination)
            .chain(&asked)
            .filter_map(|destination| destination.ca.clone()),
    );
    files.extend(decoder.secret_files);
    files.sort();
    files.dedup();
    Ok(Config {
        server: draft.house.server,
        limits: draft.house.limits,
        log: draft.house.log,
        sources: draft
            .sources
            .into_iter()
            .map(|(_, source)| (source.name.clone(), Arc::new(source)))
            .collect(),
        destinations: draft
            .destinations
            .into_iter()
            .map(|(_, one)| one)
            .chain(asked)
            .map(|one| (one.name.clone(), Arc::new(one)))
            .collect(),
        routes: draft
            .routes
            .into_iter()
            .map(|written| written.located(&texts))
            .chain(questions)
            .collect(),
        hash: print::shown(&texts),
        print: draft.print,
        warnings: complaints,
        files,
        texts,
    })
}

/// What was read, with the places that later checks point at.
struct Draft {
    house: house::House,
    /// Also those with errors are named here, so that routes may name them.
    named: Named,
    sources: Vec<(source::Written, Source)>,
    destinations: Vec<(destination::Written, Destination)>,
    routes: Vec<route::Written>,
    print: Print,
}

impl Draft {
    /// What sources ask their platforms: a destination and a route each, that
    /// stand in no file.
    fn fetching(&mut self) -> (Vec<Destination>, Vec<Route>) {
        let written = self.sources.iter_mut();
        let fetching = written.filter_map(|(written, _)| written.fetching.take());
        fetching.map(|one| (one.destination, one.route)).unzip()
    }
}

/// A key of the house that stands in another table is told where it belongs.
fn send_home(decoder: &mut Decoder) {
    let unknown = decoder.complaints.iter_mut().filter(|one| {
        let listed = one
            .help
            .as_ref()
            .is_some_and(|help| help.starts_with("keys that could"));
        listed && one.message.starts_with("unknown key")
    });
    for complaint in unknown {
        let name = complaint.message.split('`').nth(1).unwrap_or_default();
        if let Some(home) = schema::house::home_of(name) {
            complaint.help = Some(format!("it belongs into {home}"));
        }
    }
}

/// Decodes all files; `None` where they are no TOML. The complaints say
/// whether the result may be used.
fn decode(
    decoder: &mut Decoder,
    texts: &[(PathBuf, String)],
    vendors: &'static [&'static Vendor],
) -> Option<Draft> {
    let trees = files::parse(decoder, texts)?;
    // Taken before anything is decoded: should a secret change between the
    // two readings, the print is the old one and the next reload sees that.
    let prints = print::Prints::new(decoder);
    let print = prints.whole(texts, &trees);

    let mut house = None;
    let mut named = Named::default();
    let mut sources = Vec::new();
    let mut destinations = Vec::new();
    for (file, tree) in trees.iter().enumerate() {
        let mut top = Fields::new(decoder, tree, file, 0..0, "");
        if file == 0 {
            let _ = top.any("include");
            house = Some(house::read(&mut top));
        } else {
            files::refuse_house_keys(&mut top);
        }
        sources.extend(source::read(&mut top, &mut named, vendors, &prints));
        destinations.extend(destination::read(&mut top, &mut named, vendors, &prints));
        let _ = top.any("route");
        top.finish();
    }
    let routes = route::read(decoder, &trees, &named);
    let draft = Draft {
        house: house?,
        named,
        sources,
        destinations,
        routes,
        print,
    };
    checks::all(decoder, &draft);
    send_home(decoder);
    Some(draft)
}
