//! The server's answers: each place of RFC 8555, and what was told to go wrong.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::{Value, json};

use super::{Fault, Look, der, jws};
use crate::support::http::{Request, read_request};

/// What answers.
pub(super) struct Server {
    pub(super) base: String,
    pub(super) look: Look,
    pub(super) root: Issuer<'static, KeyPair>,
    pub(super) root_pem: String,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lifetime: Duration,
    pub(super) faults: VecDeque<Fault>,
    pub(super) nonces: HashSet<String>,
    pub(super) issued_nonces: usize,
    pub(super) accounts: HashMap<String, jws::Key>,
    pub(super) orders: Vec<Order>,
    pub(super) proofs: Vec<Proof>,
    pub(super) complaints: Vec<String>,
    pub(super) contacts: Vec<Value>,
}

pub(super) struct Order {
    pub(super) names: Vec<String>,
    pub(super) proofs: Vec<usize>,
    pub(super) chain: Option<String>,
    pub(super) linger: usize,
    pub(super) linger_again: usize,
}

pub(super) struct Proof {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) status: &'static str,
    pub(super) error: Option<String>,
    pub(super) disbelief: bool,
}

/// A status, more headers, a body.
type Reply = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Server {
    /// Answers one connection to its end.
    pub(super) fn converse(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = read_request(&mut stream) {
            let (status, headers, body) = Arc::clone(&self).answer(&request);
            let mut head = format!("HTTP/1.1 {status} X\r\nreplay-nonce: {}\r\n", self.nonce());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
            let body = if request.method == "HEAD" {
                &[][..]
            } else {
                &body
            };
            if stream
                .get_mut()
                .write_all(&[head.as_bytes(), body].concat())
                .is_err()
            {
                return;
            }
        }
    }

    fn nonce(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.issued_nonces += 1;
        let nonce = format!("nonce-{}", state.issued_nonces);
        state.nonces.insert(nonce.clone());
        nonce
    }

    fn answer(self: Arc<Self>, request: &Request) -> Reply {
        let at = |path: &str| format!("{}/{path}", self.base);
        match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/dir") => {
                return ok(&json!({
                    "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"),
                    "revokeCert": at("revoke"), "keyChange": at("key"), "meta": {"termsOfService": at("terms")},
                }));
            }
            ("HEAD", "/nonce") => return (200, Vec::new(), Vec::new()),
            ("POST", _) => {}
            _ => return problem(404, "malformed", "no such place"),
        }
        let signed = match self.signed(request) {
            Ok(signed) => signed,
            Err(reply) => return reply,
        };
        let mut words = request.target.trim_start_matches('/').split('/');
        let (kind, number) = (words.next().unwrap_or(""), words.next());
        let number: usize = number.and_then(|text| text.parse().ok()).unwrap_or(0);
        match kind {
            "account" => self.account(&signed, request.target == "/account"),
            "order" if request.target == "/order" => self.new_order(&signed),
            "order" => self.show_order(number),
            "authz" => self.show_proof(number),
            "challenge" => self.look_at(number, &signed),
            "finalize" => self.finalize(number, &signed),
            "certificate" => {
                let state = self.state.lock().unwrap();
                let chain = state.orders[number].chain.clone().unwrap();
                let kind = "application/pem-certificate-chain".to_owned();
                (200, vec![("content-type", kind)], chain.into_bytes())
            }
            _ => problem(404, "malformed", "no such place"),
        }
    }

    /// Form, nonce, address, signature; each is a complaint of its own.
    fn signed(&self, request: &Request) -> Result<jws::Signed, Reply> {
        let mut state = self.state.lock().unwrap();
        let url = format!("{}{}", self.base, request.target);
        let checked = jws::Signed::check(request, &url, &state.accounts);
        let signed = match checked {
            Ok(signed) => signed,
            Err(jws::Wrong::NoAccount) => {
                return Err(problem(400, "accountDoesNotExist", "no such account"));
            }
            Err(jws::Wrong::Form(what)) => {
                state.complaints.push(format!("{}: {what}", request.target));
                return Err(problem(400, "malformed", what));
            }
        };
        if !state.nonces.remove(&signed.nonce) {
            let what = format!("{}: a nonce of nobody's", request.target);
            state.complaints.push(what);
            return Err(problem(400, "badNonce", "not mine"));
        }
        if state.takes(|fault| fault == Fault::BadNonce).is_some() {
            return Err(problem(400, "badNonce", "too old"));
        }
        Ok(signed)
    }

    fn account(&self, signed: &jws::Signed, new: bool) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.contacts.push(signed.payload["contact"].clone());
        if !new {
            return ok(&json!({"status": "valid"}));
        }
        if signed.payload["termsOfServiceAgreed"] != true {
            return problem(403, "userActionRequired", "the terms");
        }
        let url = format!("{}/account/{}", self.base, state.accounts.len());
        state.accounts.insert(url.clone(), signed.key.clone());
        let body = json!({"status": "valid", "orders": format!("{url}/orders")});
        (201, vec![("location", url)], body.to_string().into_bytes())
    }

    fn new_order(&self, signed: &jws::Signed) -> Reply {
        let mut state = self.state.lock().unwrap();
        let mut order = Order {
            names: names(&signed.payload),
            proofs: Vec::new(),
            chain: None,
            linger: 0,
            linger_again: 0,
        };
        let number = state.orders.len();
        match state.takes(|fault| {
            !matches!(
                fault,
                Fault::BadNonce | Fault::Disbelief | Fault::OtherName | Fault::Ended
            )
        }) {
            Some(Fault::RateLimited { retry_after }) => {
                state.orders.push(order);
                let (status, mut headers, body) =
                    problem(429, "rateLimited", "too many certificates");
                headers.push(("retry-after", retry_after.to_string()));
                return (status, headers, body);
            }
            Some(Fault::Broken) => {
                state.orders.push(order);
                return (500, Vec::new(), b"<html>oh no</html>".to_vec());
            }
            Some(Fault::Forgetful) => {
                state.accounts.clear();
                state.orders.push(order);
                return problem(400, "accountDoesNotExist", "who are you?");
            }
            Some(Fault::Slow(time)) => {
                drop(state);
                std::thread::sleep(time);
                state = self.state.lock().unwrap();
            }
            Some(Fault::Lingering(looks)) => {
                order.linger = looks;
                order.linger_again = looks;
            }
            _ => {}
        }
        for name in order.names.clone() {
            let disbelief = state.takes(|fault| fault == Fault::Disbelief).is_some();
            let token = format!(
                "token-{number}-{}-{}",
                state.proofs.len(),
                unix().as_nanos()
            );
            order.proofs.push(state.proofs.len());
            state.proofs.push(Proof {
                name,
                token: BASE64_URL_SAFE_NO_PAD.encode(token),
                status: "pending",
                error: None,
                disbelief,
            });
        }
        state.orders.push(order);
        let body = self.order_json(&mut state, number);
        let location = format!("{}/order/{number}", self.base);
        (
            201,
            vec![("location", location)],
            body.to_string().into_bytes(),
        )
    }

    fn show_order(&self, number: usize) -> Reply {
        let mut state = self.state.lock().unwrap();
        ok(&self.order_json(&mut state, number))
    }

    fn order_json(&self, state: &mut State, number: usize) -> Value {
        let proofs = &state.proofs;
        let order = &mut state.orders[number];
        let all = |status| {
            order
                .proofs
                .iter()
                .all(|proof| proofs[*proof].status == status)
        };
        let any = |status| {
            order
                .proofs
                .iter()
                .any(|proof| proofs[*proof].status == status)
        };
        let status = match &order.chain {
            Some(_) if order.linger_again > 0 => {
                order.linger_again -= 1;
                "processing"
            }
            Some(_) => "valid",
            None if any("invalid") => "invalid",
            None if all("valid") && order.linger > 0 => {
                order.linger -= 1;
                "pending"
            }
            None if all("valid") => "ready",
            None => "pending",
        };
        let at = |kind: &str, number: usize| format!("{}/{kind}/{number}", self.base);
        let identifiers: Vec<Value> = order.names.iter().map(identifier).collect();
        let authorizations: Vec<String> = order
            .proofs
            .iter()
            .map(|proof| at("authz", *proof))
            .collect();
        let mut body = json!({
            "status": status, "identifiers": identifiers, "authorizations": authorizations,
            "finalize": at("finalize", number),
        });
        if status == "valid" {
            body["certificate"] = json!(at("certificate", number));
        }
        body
    }

    fn show_proof(&self, number: usize) -> Reply {
        let state = self.state.lock().unwrap();
        let proof = &state.proofs[number];
        let status = if proof.status == "processing" {
            "pending"
        } else {
            proof.status
        };
        let kinds = ["http-01", "tls-alpn-01", "dns-01"];
        let challenges = kinds.map(|kind| self.challenge_json(&state, number, kind));
        ok(
            &json!({"status": status, "identifier": identifier(&proof.name), "challenges": challenges}),
        )
    }

    fn challenge_json(&self, state: &State, number: usize, kind: &str) -> Value {
        let proof = &state.proofs[number];
        let url = format!("{}/challenge/{number}/{kind}", self.base);
        let mut body =
            json!({"type": kind, "url": url, "token": proof.token, "status": proof.status});
        if let (Some(error), true) = (&proof.error, kind == self.look.kind()) {
            body["error"] =
                json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": error});
        }
        body
    }

    /// Really looks, in a thread of its own, as a server would.
    fn look_at(self: Arc<Self>, number: usize, signed: &jws::Signed) -> Reply {
        let (name, text, reply) = {
            let mut state = self.state.lock().unwrap();
            let proof = &mut state.proofs[number];
            proof.status = "processing";
            let text = format!("{}.{}", proof.token, signed.key.thumbprint());
            let name = proof.name.clone();
            let reply = ok(&self.challenge_json(&state, number, self.look.kind()));
            (name, text, reply)
        };
        std::thread::spawn(move || {
            let seen = self.look.see(&name, &text);
            let mut state = self.state.lock().unwrap();
            let proof = &mut state.proofs[number];
            match seen {
                Ok(()) if proof.disbelief => {
                    proof.error =
                        Some("Timeout during connect (likely firewall problem)".to_owned());
                }
                Ok(()) => {}
                Err(error) => proof.error = Some(error),
            }
            proof.status = if proof.error.is_none() {
                "valid"
            } else {
                "invalid"
            };
        });
        reply
    }

    fn finalize(&self, number: usize, signed: &jws::Signed) -> Reply {
        let mut state = self.state.lock().unwrap();
        let csr = signed.payload["csr"].as_str().unwrap_or_default();
        let csr = BASE64_URL_SAFE_NO_PAD.decode(csr).unwrap_or_default();
        let asked = match der::Csr::read(&csr) {
            Ok(asked) => asked,
            Err(what) => {
                state.complaints.push(format!("the CSR: {what}"));
                return problem(400, "badCSR", what);
            }
        };
        let mut names = state.orders[number].names.clone();
        if asked.names != names {
            state
                .complaints
                .push(format!("the CSR is for {:?}, not {names:?}", asked.names));
            return problem(400, "badCSR", "other names");
        }
        if state.takes(|fault| fault == Fault::OtherName).is_some() {
            names = vec!["somebody-else.example".to_owned()];
        }
        let mut until = unix() + state.lifetime;
        if state.takes(|fault| fault == Fault::Ended).is_some() {
            until = unix() - Duration::from_secs(60);
        }
        let mut params = CertificateParams::new(names).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + until.saturating_sub(state.lifetime);
        params.not_after = epoch + until;
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&asked, &self.root).unwrap();
        state.orders[number].chain = Some(format!("{}{}", leaf.pem(), self.root_pem));
        ok(&self.order_json(&mut state, number))
    }
}

impl State {
    /// The next fault, if it is of this kind; then it is over.
    fn takes(&mut self, kind: impl Fn(Fault) -> bool) -> Option<Fault> {
        let next = *self.faults.front()?;
        kind(next).then(|| self.faults.pop_front()).flatten()
    }
}

fn names(payload: &Value) -> Vec<String> {
    let identifiers = payload["identifiers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names = identifiers.iter().filter(|one| one["type"] == "dns");
    names
        .filter_map(|one| one["value"].as_str().map(str::to_owned))
        .collect()
}

fn identifier(name: &String) -> Value {
    json!({"type": "dns", "value": name})
}

fn ok(body: &Value) -> Reply {
    let kind = "application/json".to_owned();
    (
        200,
        vec![("content-type", kind)],
        body.to_string().into_bytes(),
    )
}

fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let body = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status});
    let kind = "application/problem+json".to_owned();
    (
        status,
        vec![("content-type", kind)],
        body.to_string().into_bytes(),
    )
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
