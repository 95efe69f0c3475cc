//! P9, P3: a conversation that fails holds up itself alone, however much of the
//! traffic it has; and so does a destination nobody hears from any more.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::proof::Proof;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sender::{message, qiscus};
use crate::support::{eventually, scale};

/// Conversations that are well.
const ROOMS: usize = 8;
/// The one that may not be.
const HOT: usize = 0;

/// What stands in the way of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// As many messages as all others have, in one conversation that fails.
    HotLane,
    /// Another destination takes connections and never reads.
    HalfOpen,
    /// Another destination's host does not even answer a connection.
    BlackHole,
    /// Another destination has a name, and the name server says nothing.
    SilentNames,
}

/// What stands in the way from outside. Not everybody may be a name server,
/// and root in a container may not mount.
fn from_outside() -> impl Iterator<Item = Trouble> {
    let names = SilentNames::is_allowed().then_some(Trouble::SilentNames);
    if names.is_none() {
        println!("without port 53 or mounts of its own: no silent name server");
    }
    [Trouble::HalfOpen, Trouble::BlackHole]
        .into_iter()
        .chain(names)
}

/// A listener whose backlog is full: the system drops what else comes.
struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let kind = socket2::Type::STREAM;
        let listener = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).unwrap();
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(one);
            assert!(waiting.len() < 16, "a backlog of one has an end");
        }
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

/// A name server that hears and says nothing, and the one the gateway asks.
struct SilentNames(UdpSocket);

impl SilentNames {
    /// Any address of this machine's own; nobody else's name server is there.
    const ADDRESS: &str = "127.0.87.53:53";

    fn is_allowed() -> bool {
        let mount = ["mount", "--bind", "/etc/resolv.conf", "/etc/resolv.conf"];
        let mounted = Command::new("unshare").arg("--mount").args(mount).output();
        mounted.is_ok_and(|mounted| mounted.status.success())
            && UdpSocket::bind(Self::ADDRESS).is_ok()
    }

    fn new() -> Self {
        Self(UdpSocket::bind(Self::ADDRESS).unwrap())
    }

    /// Runs a program that asks it, and nobody else.
    fn wrapper(&self, gateway: &Gateway) -> [String; 6] {
        let file = gateway.folder.path().join("resolv.conf");
        let address = self.0.local_addr().unwrap().ip();
        std::fs::write(&file, format!("nameserver {address}\n")).unwrap();
        let script = format!(
            "mount --bind {} /etc/resolv.conf && exec \"$@\"",
            file.display()
        );
        ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned)
    }

    fn was_asked(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0; 512]).is_ok()
    }
}

fn rules(healthy: &Receiver, troubled: &[String]) -> String {
    let common = "kind = \"http\"\nallow_private = true\norder = \"conversation\"\nconcurrency = 4\ntimeout = \"30s\"\n\
                  retry = { delays = [\"1h\"], for = \"2h\" }\n";
    let url = healthy.url();
    let mut rules =
        format!("[log]\nmin_free = \"16MiB\"\n[destination.chat]\nurl = \"{url}/\"\n{common}");
    let mut to = "\"chat\"".to_owned();
    for (number, host) in troubled.iter().enumerate() {
        rules += &format!("[destination.troubled-{number}]\nurl = \"http://{host}/\"\n{common}");
        to += &format!(", \"troubled-{number}\"");
    }
    rules + &format!("[[route]]\nfrom = \"qiscus\"\nto = [{to}]\n")
}

/// Posts `events` to the calm rooms at a steady pace; how long each took from
/// its sending to its arrival, and all of them must arrive, each room in order.
fn calm_lanes(trouble: Trouble, events: usize) -> Vec<Duration> {
    let receiver = Receiver::answering(|request| {
        let hot = request.json()["payload"]["room"]["id"] == HOT;
        Reply::Status(if hot { 503 } else { 200 })
    });
    let half_open = TcpListener::bind("127.0.0.1:0").unwrap();
    let black_hole = (trouble == Trouble::BlackHole).then(BlackHole::new);
    let names = (trouble == Trouble::SilentNames).then(SilentNames::new);
    let troubled = match trouble {
        Trouble::Nothing | Trouble::HotLane => vec![],
        Trouble::HalfOpen => vec![half_open.local_addr().unwrap().to_string()],
        Trouble::BlackHole => black_hole
            .iter()
            .map(|hole| hole.address.to_string())
            .collect(),
        // More than there are processors.
        Trouble::SilentNames => (0..9).map(|n| format!("till-{n}.shop.test")).collect(),
    };
    let mut gateway = Gateway::prepare(&rules(&receiver, &troubled));
    if let Some(names) = &names {
        let wrapper = names.wrapper(&gateway);
        gateway = gateway.under(&wrapper.each_ref().map(String::as_str));
    }
    gateway.run();
    let mut sent = HashMap::new();
    for number in 0..events {
        if trouble == Trouble::HotLane {
            let id = format!("hot-{number}");
            let answer = qiscus(gateway.ingress, &message(HOT, &id, &id));
            assert_eq!(answer.status, 200);
        }
        let id = format!("calm-{number}");
        sent.insert(id.clone(), Instant::now());
        let room = 1 + number % ROOMS;
        let answer = qiscus(gateway.ingress, &message(room, &id, &id));
        assert_eq!(answer.status, 200);
    }
    let pending = if trouble == Trouble::HotLane {
        events
    } else {
        0
    };
    eventually("the calm lanes", Duration::from_secs(60), || {
        (gateway.destination("chat")["pending"] == pending).then_some(())
    });
    for number in 0..troubled.len() {
        let row = gateway.destination(&format!("troubled-{number}"));
        assert_eq!(
            (&row["pending"], &row["delivered"]),
            (&events.into(), &0.into())
        );
    }
    assert!(
        names.is_none_or(|names| names.was_asked()),
        "nobody asked for a name"
    );
    took(&receiver, &sent)
}

fn took(receiver: &Receiver, sent: &HashMap<String, Instant>) -> Vec<Duration> {
    let (mut took, mut last) = (Vec::new(), HashMap::new());
    for one in receiver.all().iter().filter(|one| one.status == 200) {
        let body = one.request.json();
        let id = body["payload"]["message"]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        let before = last.insert(body["payload"]["room"]["id"].as_u64(), number);
        assert!(before < Some(number), "{id} after {before:?}");
        took.push(one.at - sent[&id]);
    }
    assert_eq!(took.len(), sent.len(), "each once");
    took.sort();
    took
}

#[test]
fn calm_conversations_go_on_beside_a_hot_one_that_fails_and_hosts_that_fell_silent() {
    for trouble in std::iter::once(Trouble::HotLane).chain(from_outside()) {
        calm_lanes(trouble, 200);
    }
}

/// B3, in the long form, where the machine is quiet: their time is judged, too.
#[test]
fn calm_conversations_are_as_quick_beside_trouble_as_without() {
    let events = scale("HOOKFAN_LANES_EVENTS", 0);
    if events == 0 {
        return;
    }
    let proof = Proof::of("lanes");
    let p99 = |trouble| {
        let took = calm_lanes(trouble, events);
        took[took.len() * 99 / 100].as_secs_f64()
    };
    let mut figures = serde_json::json!({"events of each run": events, "pairs of runs": 3});
    for trouble in std::iter::once(Trouble::HotLane).chain(from_outside()) {
        let mut ratios: Vec<f64> = (0..3)
            .map(|_| p99(trouble) / p99(Trouble::Nothing))
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!("{trouble:?}: p99 {ratios:.2?} times the p99 without it");
        assert!(ratios[1] <= 2.0, "{trouble:?}: {ratios:?}");
        let name = match trouble {
            Trouble::HotLane => "p99 beside a hot lane that fails / without, median",
            Trouble::HalfOpen => "p99 beside a half-open peer / without, median",
            Trouble::SilentNames => "p99 beside a silent name server / without, median",
            Trouble::BlackHole | Trouble::Nothing => "p99 beside a black hole / without, median",
        };
        figures[name] = ((ratios[1] * 100.0).round() / 100.0).into();
    }
    proof.found(figures);
}
