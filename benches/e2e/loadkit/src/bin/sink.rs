//! Counting sink: one process, one thread, one listening port per destination plus a control port.
//!
//!   sink --control 9100 --dests 3 [--base 9101] [--run 1] [--reply ok] [--count-only]
//!
//! --count-only keeps no record of each request (40 bytes): there is nothing to dump then.
//! Destination d listens on base+d-1. Control (HTTP, GET or POST, loopback only):
//!   /stats                      counters as JSON
//!   /reset?run=N                forget everything, count only tokens of run N from now on
//!   /behave?dest=2&latency_ms=5000&jitter_ms=0&error=0.1&status=503&retry_after=1&mode=ok|hang|close
//!                               (dest=0 means every destination; what is not named goes to its default)
//!   /dump?path=FILE             write every record received (loadkit::Rec, raw)
//!   /quit
use loadkit::dest::{Behave, Dest, Mode};
use loadkit::{Rec, args::Args, http1, net, new_hist, now_ns, quantiles_json, token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

struct Conn {
    fd: OwnedFd,
    dest: usize, // 0 = control
    inb: Vec<u8>,
    out: Vec<u8>,
    turn: u32,
    waiting: bool, // a delayed answer is due
    close_after: bool,
    want_write: bool,
}

struct Sink {
    ep: net::Epoll,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    turn: u32,
    dests: Vec<Dest>, // index 0 unused
    recs: Vec<Rec>,
    keeps_recs: bool,
    run: u16,
    hist: hdrhistogram::Histogram<u64>,
    timers: BinaryHeap<Reverse<(u64, usize, u32, u16, u32)>>,
    rng: u64,
    quit: bool,
    ok_resp: Vec<u8>,
}

impl Sink {
    fn rand(&mut self) -> f64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng >> 11) as f64 / (1u64 << 53) as f64
    }

    fn reset(&mut self, run: u16) {
        for d in &mut self.dests {
            d.forget();
        }
        self.recs.clear();
        self.hist.reset();
        self.run = run;
    }

    fn accept_all(&mut self, lfd: i32, dest: usize) {
        while let Ok(fd) = net::accept(lfd) {
            let i = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.turn = self.turn.wrapping_add(1);
            let _ = self.ep.add(
                fd.as_raw_fd(),
                libc::EPOLLIN | libc::EPOLLRDHUP,
                CONN | i as u64,
            );
            self.conns[i] = Some(Conn {
                fd,
                dest,
                inb: Vec::with_capacity(4096),
                out: Vec::new(),
                turn: self.turn,
                waiting: false,
                close_after: false,
                want_write: false,
            });
            self.dests[dest].conns += 1;
            self.dests[dest].conns_total += 1;
        }
    }

    fn drop_conn(&mut self, i: usize) {
        if let Some(c) = self.conns[i].take() {
            self.dests[c.dest].conns -= 1;
            self.free.push(i);
        }
    }

    fn flush(&mut self, i: usize) {
        let Some(c) = self.conns[i].as_mut() else {
            return;
        };
        while !c.out.is_empty() {
            match net::write(c.fd.as_raw_fd(), &c.out) {
                Ok(n) if n == c.out.len() => c.out.clear(),
                Ok(n) => {
                    c.out.drain(..n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if !c.want_write {
                        c.want_write = true;
                        let _ = self.ep.modify(
                            c.fd.as_raw_fd(),
                            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP,
                            CONN | i as u64,
                        );
                    }
                    return;
                }
                Err(_) => {
                    self.drop_conn(i);
                    return;
                }
            }
        }
        if c.want_write {
            c.want_write = false;
            let _ = self.ep.modify(
                c.fd.as_raw_fd(),
                libc::EPOLLIN | libc::EPOLLRDHUP,
                CONN | i as u64,
            );
        }
        if c.close_after {
            self.drop_conn(i);
        }
    }

    fn answer(&mut self, i: usize, status: u16, retry_after: Option<u32>) {
        let Some(c) = self.conns[i].as_mut() else {
            return;
        };
        if status == 200 {
            c.out.extend_from_slice(&self.ok_resp);
        } else {
            let ra = retry_after
                .map(|r| format!("Retry-After: {r}\r\n"))
                .unwrap_or_default();
            c.out.extend_from_slice(
                format!("HTTP/1.1 {status} Sink\r\n{ra}Content-Length: 0\r\n\r\n").as_bytes(),
            );
        }
    }

    fn readable(&mut self, i: usize) {
        let mut tmp = [0u8; 65536];
        let Some(c) = self.conns[i].as_mut() else {
            return;
        };
        let eof = match net::read(c.fd.as_raw_fd(), &mut tmp) {
            Ok(0) => true,
            Ok(n) => {
                c.inb.extend_from_slice(&tmp[..n]);
                false
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => true,
        };
        if eof {
            self.drop_conn(i);
            return;
        }
        self.process(i);
        self.flush(i);
    }

    /// Handles every whole request in the buffer, until one has to wait.
    fn process(&mut self, i: usize) {
        loop {
            let Some(c) = self.conns[i].as_mut() else {
                return;
            };
            if c.waiting || c.close_after || c.inb.is_empty() {
                return;
            }
            let m = match http1::frame(&c.inb, false) {
                http1::Framed::Partial => return,
                http1::Framed::Bad => {
                    self.drop_conn(i);
                    return;
                }
                http1::Framed::Full(m) => m,
            };
            let dest = c.dest;
            c.close_after |= m.close;
            let mut buf = std::mem::take(&mut c.inb);
            if dest == 0 {
                let line = buf[..m.head_len]
                    .split(|&b| b == b'\r')
                    .next()
                    .unwrap_or(b"");
                let target =
                    String::from_utf8_lossy(line.split(|&b| b == b' ').nth(1).unwrap_or(b"/"))
                        .into_owned();
                let body = self.control(&target);
                if let Some(c) = self.conns[i].as_mut() {
                    c.out.extend_from_slice(
                        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
                    );
                }
            } else {
                self.delivery(i, dest, &buf[m.head_len..m.total], m.chunked);
            }
            buf.drain(..m.total);
            match self.conns[i].as_mut() {
                Some(c) => c.inb = buf,
                None => return,
            }
        }
    }

    fn delivery(&mut self, i: usize, dest: usize, body: &[u8], chunked: bool) {
        let now = now_ns();
        let b = self.dests[dest].behave.clone();
        let status: u16 = match b.mode {
            Mode::Hang => 0,
            Mode::Close => 1,
            Mode::Ok if b.error > 0.0 && self.rand() < b.error => b.status,
            Mode::Ok => 200,
        };
        let joined;
        let body = if chunked {
            joined = http1::dechunk(body);
            &joined[..]
        } else {
            body
        };
        let mut found = false;
        let run = self.run;
        let finder = memchr::memmem::Finder::new(token::PREFIX);
        let mut last = None;
        for t in token::find_all(&finder, body) {
            if last == Some(t) {
                continue; // the same token twice in one body
            }
            last = Some(t);
            found = true;
            let d = &mut self.dests[dest];
            if t.run != run {
                d.stale += 1;
                continue;
            }
            if d.first_ns == 0 {
                d.first_ns = now;
            }
            d.last_ns = now;
            if status == 200 {
                if d.mark(t.seq) {
                    d.unique += 1;
                    d.order(t.key, t.kseq);
                    let lat = now.saturating_sub(t.t).max(1_000);
                    self.hist.saturating_record(lat);
                } else {
                    d.dup += 1;
                }
            }
            if !self.keeps_recs {
                continue;
            }
            self.recs.push(Rec {
                t_recv: now,
                t_int: t.t,
                seq: t.seq,
                key: t.key,
                kseq: t.kseq,
                dest: dest as u16,
                status,
                _pad: 0,
            });
        }
        let d = &mut self.dests[dest];
        d.attempts += 1;
        if !found {
            d.no_token += 1;
        }
        match status {
            0 => {
                d.hung += 1;
                if let Some(c) = self.conns[i].as_mut() {
                    c.waiting = true; // for ever
                }
                return;
            }
            1 => {
                d.closed += 1;
                self.drop_conn(i);
                return;
            }
            200 => d.ok += 1,
            _ => d.errors += 1,
        }
        if b.latency_ns == 0 && b.jitter_ns == 0 {
            self.answer(i, status, b.retry_after);
        } else {
            let j = if b.jitter_ns > 0 {
                (self.rand() * b.jitter_ns as f64) as u64
            } else {
                0
            };
            if let Some(c) = self.conns[i].as_mut() {
                c.waiting = true;
                self.timers.push(Reverse((
                    now + b.latency_ns + j,
                    i,
                    c.turn,
                    status,
                    b.retry_after.map_or(0, |r| r + 1),
                )));
            }
        }
    }

    fn control(&mut self, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let q = |n: &str| {
            query
                .split('&')
                .filter_map(|p| p.split_once('='))
                .find(|p| p.0 == n)
                .map(|p| p.1.to_string())
        };
        let num = |n: &str| q(n).and_then(|v| v.parse::<f64>().ok());
        match path {
            "/stats" => self.stats(),
            "/reset" => {
                let run = num("run").unwrap_or(0.0) as u16;
                self.reset(run);
                format!("{{\"run\":{run}}}")
            }
            "/behave" => {
                let b = Behave {
                    mode: match q("mode").as_deref() {
                        Some("hang") => Mode::Hang,
                        Some("close") => Mode::Close,
                        _ => Mode::Ok,
                    },
                    latency_ns: (num("latency_ms").unwrap_or(0.0) * 1e6) as u64,
                    jitter_ns: (num("jitter_ms").unwrap_or(0.0) * 1e6) as u64,
                    error: num("error").unwrap_or(0.0),
                    status: num("status").unwrap_or(503.0) as u16,
                    retry_after: num("retry_after").map(|v| v as u32),
                };
                let want = num("dest").unwrap_or(0.0) as usize;
                for (i, d) in self.dests.iter_mut().enumerate().skip(1) {
                    if want == 0 || want == i {
                        d.behave = b.clone();
                    }
                }
                "{\"ok\":true}".into()
            }
            "/release" => {
                // answer (200) whatever hangs, so that a server can shut down
                for i in 0..self.conns.len() {
                    let hung = self.conns[i]
                        .as_ref()
                        .is_some_and(|c| c.dest > 0 && c.waiting);
                    if hung {
                        self.drop_conn(i);
                    }
                }
                "{\"ok\":true}".into()
            }
            "/dump" => {
                let p = q("path").unwrap_or_default();
                match std::fs::write(&p, loadkit::recs_as_bytes(&self.recs)) {
                    Ok(()) => format!("{{\"records\":{}}}", self.recs.len()),
                    Err(e) => format!("{{\"error\":{:?}}}", e.to_string()),
                }
            }
            "/quit" => {
                self.quit = true;
                "{\"ok\":true}".into()
            }
            _ => "{\"error\":\"no such control path\"}".into(),
        }
    }

    fn stats(&self) -> String {
        let mut ds = Vec::new();
        for (i, d) in self.dests.iter().enumerate().skip(1) {
            ds.push(d.to_json(i));
        }
        format!(
            "{{\"run\":{},\"now_ns\":{},\"cpu_s\":{:.3},\"e2e\":{},\"dests\":[{}]}}",
            self.run,
            now_ns(),
            loadkit::cpu_self(),
            quantiles_json(&self.hist),
            ds.join(",")
        )
    }

    fn fire(&mut self) -> i64 {
        loop {
            let Some(&Reverse((due, i, turn, status, ra))) = self.timers.peek() else {
                return -1;
            };
            let now = now_ns();
            if due > now {
                return (due - now) as i64;
            }
            self.timers.pop();
            let ok = self
                .conns
                .get(i)
                .and_then(|c| c.as_ref())
                .is_some_and(|c| c.turn == turn && c.waiting);
            if ok {
                self.answer(i, status, if ra > 0 { Some(ra - 1) } else { None });
                if let Some(c) = self.conns[i].as_mut() {
                    c.waiting = false;
                }
                self.process(i);
                self.flush(i);
            }
        }
    }
}

const LISTEN: u64 = 1 << 62;
const CONN: u64 = 1 << 61;

fn main() -> io::Result<()> {
    let a = Args::from_env();
    let n: usize = a.num("--dests", 3);
    let control: u16 = a.num("--control", 9100);
    let base: u16 = a.num("--base", control + 1);
    let reply = a.str("--reply", "ok");
    let mut s = Sink {
        ep: net::Epoll::new()?,
        conns: Vec::new(),
        free: Vec::new(),
        turn: 0,
        dests: (0..=n).map(|_| Dest::default()).collect(),
        recs: Vec::new(),
        keeps_recs: !a.flag("--count-only"),
        run: a.num("--run", 0),
        hist: new_hist(),
        timers: BinaryHeap::new(),
        rng: 0x9e3779b97f4a7c15,
        quit: false,
        ok_resp: format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}",
            reply.len()
        )
        .into_bytes(),
    };
    let mut listeners = vec![net::listen(control)?];
    for d in 0..n {
        listeners.push(net::listen(base + d as u16)?);
    }
    for (d, l) in listeners.iter().enumerate() {
        s.ep.add(l.as_raw_fd(), libc::EPOLLIN, LISTEN | d as u64)?;
    }
    println!(
        "sink: control {control}, destinations {}..{}",
        base,
        base + n as u16 - 1
    );
    let mut evs: Vec<libc::epoll_event> = Vec::with_capacity(1024);
    while !s.quit {
        let timeout = s.fire();
        let ready: Vec<(u64, u32)> =
            s.ep.wait(&mut evs, timeout)?
                .iter()
                .map(|e| (e.u64, e.events))
                .collect();
        for (data, events) in ready {
            if data & LISTEN != 0 {
                let d = (data & 0xffff) as usize;
                s.accept_all(listeners[d].as_raw_fd(), d);
                continue;
            }
            let i = (data & 0xffff_ffff) as usize;
            if events & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32
                != 0
            {
                s.readable(i);
            }
            if events & libc::EPOLLOUT as u32 != 0 {
                s.flush(i);
            }
        }
    }
    Ok(())
}
