//! Whether a request may come in: method, hops, size, proof, rate. What is cheap
//! comes first; the rate comes last, because it is the source's own and no
//! stranger may use it up. No log is needed to refuse.

use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body;

use super::answer::Refused;
use super::body::{Budget, NoBody, Share, read};
use super::note::Broken;
use super::peer::sender;
use super::rate::Rates;
use super::server::Arrival;
use super::{Front, Source};
use crate::clock::Clock;
use crate::event::Inbound;

const HOPS: HeaderName = HeaderName::from_static("hookfan-hops");
/// An event that passed this many gateways goes in a circle.
const HOPS_MAX: u8 = 5;

/// What is counted across requests.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) budget: Budget,
    pub(super) rates: Rates,
}

/// A believed request with its body.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// Held until the event is durable or refused.
    pub(super) share: Share,
    pub(super) peer: std::net::IpAddr,
    pub(super) hops: u8,
}

impl Admitted {
    pub(super) fn inbound(&self) -> Inbound<'_> {
        let tail = place(self.parts.uri.path()).and_then(|(_source, tail)| tail);
        Inbound {
            tail,
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
            body: &self.body,
            peer: self.peer,
        }
    }
}

impl Gate {
    /// Everything that can be refused before the body is read, is.
    pub(super) async fn admit<B>(
        &self,
        front: &Front,
        source: &Source,
        arrival: &Arrival,
        parts: Parts,
        body: B,
        clock: &Clock,
    ) -> Result<Admitted, Refused>
    where
        B: Body<Data = Bytes>,
    {
        let unread = !body.is_end_stream();
        let refuse = |refused: Refused| if unread { refused.closing() } else { refused };
        let hops = before_the_body(&parts).map_err(refuse)?;
        let declared = body.size_hint().exact();
        let read = read(
            body,
            declared,
            source.body_max,
            &self.budget,
            front.limits.body_in_flight,
        )
        .await;
        let (body, share) =
            read.map_err(|no_body| refuse(no_body.refused(arrival.note.broken())))?;
        let peer = sender(arrival.peer, &parts.headers, &front.proxies);
        let admitted = Admitted {
            parts,
            body,
            share,
            peer,
            hops,
        };
        if let Err(rejection) = source.auth.verify(&admitted.inbound(), clock.now()) {
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "proof").detail(rejection));
        }
        if let Some(rate) = source.rate {
            let wait = self.rates.take(&source.name, rate);
            wait.map_err(|wait| {
                Refused::new(StatusCode::TOO_MANY_REQUESTS, "rate").retry_after(wait)
            })?;
        }
        Ok(admitted)
    }
}

fn before_the_body(parts: &Parts) -> Result<u8, Refused> {
    if parts.method != Method::POST {
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method"));
    }
    hops(&parts.headers).ok_or_else(|| Refused::new(StatusCode::LOOP_DETECTED, "loop"))
}

impl NoBody {
    fn refused(self, broken: Option<Broken>) -> Refused {
        match (self, broken) {
            (Self::TooLarge, _) => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_size"),
            (Self::NoRoom, _) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, "body_in_flight")
                .retry_after(std::time::Duration::from_secs(1)),
            (Self::Broken, Some(Broken::Timeout)) => {
                Refused::new(StatusCode::REQUEST_TIMEOUT, "body_timeout")
            }
            (Self::Broken, Some(Broken::Chunks)) => Refused::new(StatusCode::BAD_REQUEST, "chunks"),
            (Self::Broken, Some(Broken::CutOff) | None) => {
                Refused::new(StatusCode::BAD_REQUEST, "body_cut_off")
            }
        }
    }
}

/// The source's name and the tail of `/hooks/<source>[/<tail>]`.
pub(super) fn place(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = path.strip_prefix("/hooks/")?;
    let (source, tail) = rest
        .split_once('/')
        .map_or((rest, ""), |(source, tail)| (source, tail));
    (!source.is_empty()).then_some((source, (!tail.is_empty()).then_some(tail)))
}

/// How many gateways this event has passed; `None`: too many, or not a number.
fn hops(headers: &HeaderMap) -> Option<u8> {
    let Some(value) = headers.get(HOPS) else {
        return Some(0);
    };
    let text = value.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|hops| digits && *hops < HOPS_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use http_body_util::Full;
    use tokio::time::Instant;

    use super::*;
    use crate::decode::Rate;
    use crate::event::{Kind, SourceName};
    use crate::vendor::{Reader, Unreadable, Webhook};
    use crate::verify::{Auth, Scheme};

    #[derive(Debug)]
    struct Nothing;

    impl Reader for Nothing {
        fn read(&self, _inbound: &Inbound<'_>, _depth_max: usize) -> Result<Webhook, Unreadable> {
            Ok(Webhook::Events(Vec::new()))
        }
    }

    fn source(rate: Option<Rate>, allow: &[&str]) -> Source {
        Source {
            name: SourceName::from("shop"),
            kind: Kind::from("generic"),
            auth: Auth {
                scheme: Scheme::None,
                allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
            },
            reader: Arc::new(Nothing),
            rate,
            body_max: 10,
            keep_unreadable: false,
        }
    }

    fn front(in_flight: usize) -> Front {
        let limits = crate::ingress::Limits {
            body_in_flight: in_flight,
            ..crate::ingress::Limits::default()
        };
        let proxies = vec!["127.0.0.0/8".parse().unwrap()];
        Front {
            limits,
            proxies,
            ..Front::default()
        }
    }

    async fn ask(
        gate: &Gate,
        source: &Source,
        in_flight: usize,
        request: http::request::Builder,
        body: &'static str,
    ) -> Result<Admitted, (u16, bool)> {
        let (parts, body) = request
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap()
            .into_parts();
        let arrival = Arrival {
            peer: [127, 0, 0, 1].into(),
            first_byte_at: Instant::now(),
            note: Arc::default(),
        };
        let admitted = gate
            .admit(
                &front(in_flight),
                source,
                &arrival,
                parts,
                body,
                &Clock::system(),
            )
            .await;
        admitted.map_err(|refused| (refused.status.as_u16(), refused.close))
    }

    fn post() -> http::request::Builder {
        Request::post("/hooks/shop/tail?q=1")
    }

    #[tokio::test]
    async fn what_may_not_come_in_is_told_so_and_the_unread_body_ends_the_connection() {
        let gate = Gate::default();
        let open = source(None, &[]);
        let check = async |source: &Source, in_flight, request, body, expected| {
            assert_eq!(
                ask(&gate, source, in_flight, request, body).await.err(),
                Some(expected)
            );
            assert_eq!(gate.budget.used(), 0);
        };
        check(&open, 100, Request::put("/hooks/shop"), "{}", (405, true)).await;
        check(&open, 100, Request::get("/hooks/shop"), "", (405, false)).await;
        for hops in ["5", "200", "256", "-1", "+1", "", "x"] {
            check(
                &open,
                100,
                post().header("hookfan-hops", hops),
                "{}",
                (508, true),
            )
            .await;
        }
        check(&open, 100, post(), "12345678901", (413, true)).await;
        check(&open, 5, post(), "123456", (503, true)).await;
        check(
            &source(None, &["10.0.0.0/8"]),
            100,
            post(),
            "{}",
            (401, false),
        )
        .await;
        let forwarded = post().header("x-forwarded-for", "10.0.0.1, 192.0.2.1");
        check(
            &source(None, &["10.0.0.0/8"]),
            100,
            forwarded,
            "{}",
            (401, false),
        )
        .await;
        let limited = source(Some(Rate { per_second: 1.0 }), &[]);
        assert!(ask(&gate, &limited, 100, post(), "{}").await.is_ok());
        check(&limited, 100, post(), "{}", (429, false)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_cannot_use_up_a_sources_rate() {
        let gate = Gate::default();
        let limited = source(Some(Rate { per_second: 1.0 }), &["10.0.0.0/8"]);
        for _ in 0..10 {
            let refused = ask(&gate, &limited, 100, post(), "{}").await.err();
            assert_eq!(refused, Some((401, false)));
        }
        let known = post().header("x-forwarded-for", "10.0.0.1");
        assert!(ask(&gate, &limited, 100, known, "{}").await.is_ok());
    }

    #[tokio::test]
    async fn an_admitted_request_holds_its_bytes_until_it_is_dropped() {
        let gate = Gate::default();
        let request = post()
            .header("hookfan-hops", "4")
            .header("x-forwarded-for", "10.0.0.1");
        let admitted = ask(
            &gate,
            &source(None, &["10.0.0.0/8"]),
            100,
            request,
            "{\"a\":1}",
        )
        .await
        .unwrap();
        assert_eq!((admitted.hops, admitted.peer), (4, [10, 0, 0, 1].into()));
        assert_eq!(
            (admitted.inbound().tail, admitted.inbound().query),
            (Some("tail"), Some("q=1"))
        );
        assert_eq!(gate.budget.used(), 7);
        drop(admitted);
        assert_eq!(gate.budget.used(), 0);
    }

    #[test]
    fn a_place_is_a_source_and_perhaps_a_tail() {
        assert_eq!(place("/hooks/shop"), Some(("shop", None)));
        assert_eq!(place("/hooks/shop/"), Some(("shop", None)));
        assert_eq!(place("/hooks/shop/a/b"), Some(("shop", Some("a/b"))));
        for path in [
            "/",
            "/hooks",
            "/hooks/",
            "/hooks//a",
            "/Hooks/shop",
            "/metrics",
            "//hooks/shop",
        ] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
