//! The demo's stage: an emulator for every vendor with what it holds already,
//! and the file that names them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config;
use crate::decode::Secrets;
use crate::emulate::{Emulator, Endpoint, Faults, Hook, Webhook, dixa, qiscus, quiq, sendyiq};
use crate::verify::Auth;

/// A key with a dot, as SendyIQ wants it; the others do not mind.
const KEY: &str = "demo.key-0123456789";
const QISCUS_TOKEN: &str = "demo-signature-token";
const QUIQ_TOKEN: &str = "demo-hook-token";
const DIXA_KEY: &str = "5a7e0c3f9b1d2846a0c4e8f2b6d19357";
const ARCHIVE_SIGNING: &str = "whsec_aG9va2ZhbiBkZW1vIGFyY2hpdmUgc2lnbmluZyBrZXk=";

/// Who answers in Dixa.
const AGENT: &str = "0e0d1ead-dc69-470a-9b3a-e7eb16a56453";
/// The rooms that the Qiscus samples come from, and who is in them.
const ROOMS: [(u64, &[&str]); 2] = [
    (
        1_375_619,
        &["rina@customer.example.com", "agent.budi@shop.example.com"],
    ),
    (1_905_692, &["6281200000132", "kovof-123_admin@qismo.com"]),
];
/// Rina's chat with the shop.
const CHAT: (&str, &str) = (
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "rina@customer.example.com",
);

/// What was said in the conversation of which a Quiq webhook tells nothing.
const UNSAID: (&str, [(&str, &str); 2]) = (
    "12345",
    [
        ("agent_1", "Hello, how can I help you today?"),
        ("user_1", "Is the blue one back?"),
    ],
);

/// The emulators, each by its destination's name, and the file that names them.
pub(super) struct Stage {
    pub(super) routes: PathBuf,
    emulators: Vec<(&'static str, Emulator)>,
}

impl Stage {
    pub(super) async fn set(folder: &Path) -> anyhow::Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut emulators = Vec::new();
        for (name, endpoint) in [
            ("analytics", Endpoint::Dimension),
            ("bot_analytics", Endpoint::Dashbot),
            ("warehouse", Endpoint::Http),
            ("archive", Endpoint::Http),
            ("helpdesk", Endpoint::Dixa(dixa::Options::default())),
            ("rooms", Endpoint::Qiscus(qiscus::Options::default())),
            (
                "store",
                Endpoint::SendyIq(sendyiq::Options {
                    conversations: vec![sendyiq::Conversation::chat(CHAT.0, CHAT.1)],
                    ..sendyiq::Options::default()
                }),
            ),
            (QUIQ, Endpoint::Quiq(quiq::Options::default())),
        ] {
            let emulator = Emulator::start(endpoint, loopback, KEY, Faults::default()).await?;
            emulators.push((name, emulator));
        }
        let routes = folder.join("routes.toml");
        let stage = Self { routes, emulators };
        stage.seed()?;
        stage.write(folder)?;
        Ok(stage)
    }

    /// What was there before the first webhook.
    fn seed(&self) -> anyhow::Result<()> {
        for (id, participants) in ROOMS {
            let rooms = self.emulator("rooms")?.qiscus();
            rooms.add_room(id, "support", participants);
        }
        let quiq = self.emulator(QUIQ)?.quiq();
        let (id, said) = UNSAID;
        quiq.add_conversation(quiq::Conversation::new(id, "user_1"));
        for (author, text) in said {
            let _id = quiq.say(id, Some(author), text);
        }
        Ok(())
    }

    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let write = |name: &str, text: &str| {
            let mut file = std::fs::OpenOptions::new();
            // What `check` asks of a secret's file.
            file.write(true).create_new(true).mode(0o600);
            let written = file.open(folder.join(name));
            written
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| name.to_owned())
        };
        write("qiscus-token", QISCUS_TOKEN)?;
        write("quiq-token", QUIQ_TOKEN)?;
        write("dixa-key", DIXA_KEY)?;
        write("api-key", KEY)?;
        write("archive-signing", ARCHIVE_SIGNING)?;
        let mut text = include_str!("routes.toml").to_owned();
        for (name, emulator) in &self.emulators {
            let name = name.split('.').next().unwrap_or(name);
            text = text.replace(&format!("{{{name}}}"), &emulator.address.to_string());
        }
        let [listen, admin] = free_addresses()?;
        text = text
            .replace("{listen}", &listen.to_string())
            .replace("{admin}", &admin.to_string())
            .replace("{agent}", AGENT)
            .replace("{data_dir}", &folder.join("data").display().to_string());
        write("routes.toml", &text)
    }

    /// From now on Dixa and Qiscus tell the gateway what happens there.
    pub(super) fn register(&self, ingress: SocketAddr) -> anyhow::Result<()> {
        for (name, source, secret) in [
            ("helpdesk", "dixa", DIXA_KEY),
            ("rooms", "qiscus", QISCUS_TOKEN),
        ] {
            let url = format!("http://{ingress}/hooks/{source}").parse()?;
            let secret = secret.to_owned();
            self.emulator(name)?
                .post_webhooks(Some(Hook { url, secret }));
        }
        Ok(())
    }

    /// An agent answers each of Dixa's conversations in Dixa's own window; how
    /// many there are.
    pub(super) fn answer(&self) -> anyhow::Result<usize> {
        let dixa = self.emulator("helpdesk")?.dixa();
        let conversations = dixa.conversations();
        for one in &conversations {
            let _id = dixa.agent_says(one.id, AGENT, "It left the warehouse today.");
        }
        Ok(conversations.len())
    }

    /// How a source's webhooks are signed, read from the demo's own file.
    pub(super) fn auth(&self, source: &str) -> anyhow::Result<Auth> {
        let mut config = config::load(&self.routes, Secrets::Resolve)
            .map_err(|complaints| anyhow::anyhow!(complaints.draw(false)))?;
        let source = config
            .sources
            .remove(source)
            .with_context(|| format!("the demo's file has a source {source}"))?;
        Ok(std::sync::Arc::try_unwrap(source)
            .map_err(|_| anyhow::anyhow!("the source is shared"))?
            .auth)
    }

    /// By destination, in the order of the totals.
    pub(super) fn emulators(&self) -> &[(&'static str, Emulator)] {
        &self.emulators
    }

    pub(super) fn emulator(&self, name: &str) -> anyhow::Result<&Emulator> {
        let mut all = self.emulators.iter();
        let found = all.find(|(known, _)| *known == name);
        let (_, emulator) = found.with_context(|| format!("an emulator {name}"))?;
        Ok(emulator)
    }

    /// How many webhooks the vendors themselves have posted, if each of them was
    /// taken.
    pub(super) fn told(&self) -> Option<usize> {
        let all = ["dixa", "qiscus"]
            .map(|source| self.posted(source))
            .concat();
        let taken = all.iter().all(|one| (200..300).contains(&one.status));
        taken.then_some(all.len())
    }

    /// How many webhooks there were to post.
    pub(super) fn happened(&self) -> usize {
        ["dixa", "qiscus"]
            .map(|source| self.posted(source).len())
            .iter()
            .sum()
    }

    /// What the vendors themselves posted to a source.
    pub(super) fn posted(&self, source: &str) -> Vec<Webhook> {
        let name = match source {
            "dixa" => "helpdesk",
            "qiscus" => "rooms",
            _ => return Vec::new(),
        };
        self.emulator(name)
            .map(Emulator::webhooks)
            .unwrap_or_default()
    }
}

/// Behind `fetch` there is a destination, too.
pub(super) const QUIQ: &str = "quiq.fetch";

/// Two loopback addresses that were free a moment ago: the usual ports where they
/// are, and never the same twice.
fn free_addresses() -> anyhow::Result<[SocketAddr; 2]> {
    let held = [8080, 9090].map(|usual| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, usual))
            .or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
    });
    let [listen, admin] = held;
    Ok([listen?.local_addr()?, admin?.local_addr()?])
}
