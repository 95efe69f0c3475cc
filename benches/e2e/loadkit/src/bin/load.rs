//! Load generator: keep-alive connections, closed loop or open loop (constant rate).
//!
//!   load --url http://127.0.0.1:8080/in [--header 'K: v'].. [--wrap '{"t":"{type}","p":{body}}']
//!        [--conns 64] [--warm 3] [--secs 15] [--rate 0] [--rooms 256] [--size 1024]
//!        [--types a:60,b:40] [--run 1] [--acks FILE] [--max-events N] [--share-rooms]
//!
//! --rate 0 is the closed loop: each connection sends its next event when the last was answered;
//! its latencies are the service times seen. --rate R is the open loop: event k is due at
//! start + k/R whatever the server does; its latency counts from when it was due, so a stall is
//! charged to every event it delayed (no coordinated omission).
//!
//! A room (ordering key) belongs to one connection, so the events of one room are posted one
//! after the other was answered: the order of acknowledgement is well defined per room.
//! --share-rooms lets every connection post to every room, event after event the next one: then
//! there may be fewer rooms than connections, and `reorder` means nothing.
use loadkit::{
    Ack, acks_as_bytes, args::Args, cpu_self, http1, net, new_hist, now_ns, quantiles_json,
    token::Token, webhook,
};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

#[derive(PartialEq, Clone, Copy)]
enum St {
    Idle,
    Busy,
    Backoff(u64),
    Down(u64),
}

struct Conn {
    fd: Option<OwnedFd>,
    st: St,
    out: Vec<u8>,
    pos: usize,
    inb: Vec<u8>,
    cur: Ack,
    turn: u32,
    want_write: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = Args::from_env();
    let url = a.get("--url").ok_or("--url is needed")?.to_string();
    let (addr, host, path) = net::parse_url(&url)?;
    let conns: usize = a.num("--conns", 64);
    let warm: f64 = a.num("--warm", 3.0);
    let secs: f64 = a.num("--secs", 15.0);
    let rate: f64 = a.num("--rate", 0.0);
    let shared = a.flag("--share-rooms");
    let asked: usize = a.num("--rooms", 256);
    let rooms = if shared {
        asked.max(1)
    } else {
        asked.max(conns)
    };
    let size: usize = a.num("--size", 1024);
    let run: u16 = a.num("--run", 1);
    let max_events: u64 = a.num("--max-events", u64::MAX);
    let mix = webhook::parse_mix(&a.str("--types", webhook::DEFAULT_MIX));
    let headers = a.all("--header");
    let wrap = a.get("--wrap");

    let templates: Vec<webhook::Template> = mix
        .iter()
        .map(|(t, _)| webhook::Template::new(t, size, &host, &path, &headers, wrap))
        .collect();
    // a fixed round of 1,000 types with the asked-for weights, spread evenly
    let total_w: u32 = mix.iter().map(|m| m.1).sum();
    let mut order: Vec<(u64, usize)> = Vec::new();
    for (i, m) in mix.iter().enumerate() {
        let n = (m.1 as u64 * 1000 / total_w as u64).max(1);
        for j in 0..n {
            order.push(((2 * j + 1) * 1_000_000 / (2 * n) + i as u64, i));
        }
    }
    order.sort();
    let order: Vec<usize> = order.into_iter().map(|o| o.1).collect();

    let ep = net::Epoll::new()?;
    let mut cs: Vec<Conn> = Vec::new();
    for i in 0..conns {
        let fd = net::connect(addr)?;
        ep.add(fd.as_raw_fd(), libc::EPOLLIN | libc::EPOLLRDHUP, i as u64)?;
        cs.push(Conn {
            fd: Some(fd),
            st: St::Idle,
            out: Vec::new(),
            pos: 0,
            inb: Vec::with_capacity(4096),
            cur: Ack {
                seq: 0,
                t_int: 0,
                t_ack: 0,
                key: 0,
                kseq: 0,
                status: 0,
                _pad: 0,
                late_us: 0,
            },
            turn: 0,
            want_write: false,
        });
    }
    let mut kseq = vec![0u32; rooms];
    let mut acks: Vec<Ack> = Vec::with_capacity(1 << 20);
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    let mut hist = new_hist();
    let mut idle: VecDeque<usize> = (0..conns).collect();
    let (mut seq, mut reconnects, mut backlog_max) = (0u64, 0u64, 0u64);
    let mut in_window = 0u64;

    let t0 = now_ns();
    let w0 = t0 + (warm * 1e9) as u64;
    let w1 = w0 + (secs * 1e9) as u64;
    // answers still outstanding at w1 get this long to arrive
    let grace = w1 + (a.num("--grace", 10.0) * 1e9) as u64;
    let mut cpu0 = cpu_self();
    let mut cpu_started = false;
    let mut cpu1 = None;
    let period = if rate > 0.0 { 1e9 / rate } else { 0.0 };
    let mut evs: Vec<libc::epoll_event> = Vec::with_capacity(1024);
    let mut timers: Vec<usize> = Vec::new(); // connections in Backoff/Down
    let mut tmp = vec![0u8; 65536];

    macro_rules! finish {
        ($i:expr, $status:expr, $now:expr) => {{
            let c = &mut cs[$i];
            let mut r = c.cur;
            r.status = $status;
            r.t_ack = $now;
            *statuses.entry($status).or_default() += 1;
            if (200..300).contains(&r.status) && $now >= w0 && $now < w1 {
                in_window += 1;
            }
            // closed loop: answered in the window; open loop: due in the window
            let counts = if rate > 0.0 {
                r.t_int >= w0 && r.t_int < w1
            } else {
                $now >= w0 && $now < w1
            };
            if counts && (200..300).contains(&r.status) {
                hist.saturating_record(($now - r.t_int).max(1_000));
            }
            acks.push(r);
        }};
    }
    macro_rules! broken {
        ($i:expr, $now:expr) => {{
            if cs[$i].st == St::Busy {
                finish!($i, 0, $now);
            }
            let c = &mut cs[$i];
            c.fd = None;
            c.inb.clear();
            c.out.clear();
            c.want_write = false;
            if !matches!(c.st, St::Down(_) | St::Backoff(_)) {
                timers.push($i);
            }
            c.st = St::Down($now + 20_000_000);
        }};
    }
    macro_rules! push_out {
        ($i:expr) => {{
            let mut dead = false;
            let c = &mut cs[$i];
            if let Some(fd) = c.fd.as_ref().map(|f| f.as_raw_fd()) {
                while c.pos < c.out.len() {
                    match net::write(fd, &c.out[c.pos..]) {
                        Ok(n) => c.pos += n,
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                            if !c.want_write {
                                c.want_write = true;
                                let _ = ep.modify(
                                    fd,
                                    libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP,
                                    $i as u64,
                                );
                            }
                            break;
                        }
                        Err(_) => {
                            dead = true;
                            break;
                        }
                    }
                }
                if !dead && c.pos == c.out.len() && c.want_write {
                    c.want_write = false;
                    let _ = ep.modify(fd, libc::EPOLLIN | libc::EPOLLRDHUP, $i as u64);
                }
            }
            if dead {
                broken!($i, now_ns());
            }
        }};
    }

    loop {
        let now = now_ns();
        if !cpu_started && now >= w0 {
            cpu_started = true;
            cpu0 = cpu_self();
        }
        if now >= w1 && cpu1.is_none() {
            cpu1 = Some(cpu_self());
        }
        let sending = now < w1 && seq < max_events;
        if !sending && (now >= grace || cs.iter().all(|c| c.st != St::Busy)) {
            break;
        }
        // connections whose pause is over
        let mut j = 0;
        while j < timers.len() {
            let i = timers[j];
            let ready = match cs[i].st {
                St::Backoff(t) if now >= t => true,
                St::Down(t) if now >= t => match net::connect(addr) {
                    Ok(fd) => {
                        ep.add(fd.as_raw_fd(), libc::EPOLLIN | libc::EPOLLRDHUP, i as u64)?;
                        cs[i].fd = Some(fd);
                        reconnects += 1;
                        true
                    }
                    Err(_) => {
                        cs[i].st = St::Down(now + 50_000_000);
                        false
                    }
                },
                _ => false,
            };
            if ready {
                timers.swap_remove(j);
                cs[i].st = St::Idle;
                idle.push_back(i);
            } else {
                j += 1;
            }
        }
        // start what is due
        let due_total = if rate > 0.0 {
            (((now - t0) as f64 / period) as u64 + 1).min(max_events)
        } else {
            u64::MAX
        };
        if sending {
            if rate > 0.0 {
                backlog_max = backlog_max.max(due_total.saturating_sub(seq));
            }
            while seq < due_total && seq < max_events {
                let Some(i) = idle.pop_front() else { break };
                if cs[i].st != St::Idle {
                    continue;
                }
                let t_int = if rate > 0.0 {
                    t0 + (seq as f64 * period) as u64
                } else {
                    now_ns()
                };
                let c = &mut cs[i];
                let key = if shared {
                    (seq % rooms as u64) as usize
                } else {
                    let mine = (rooms - i).div_ceil(conns) as u32;
                    i + conns * (c.turn % mine) as usize
                };
                c.turn = c.turn.wrapping_add(1);
                let tok = Token {
                    run,
                    seq,
                    key: key as u32,
                    kseq: kseq[key],
                    t: t_int,
                };
                kseq[key] += 1;
                templates[order[(seq % order.len() as u64) as usize]].render(&mut c.out, &tok);
                c.pos = 0;
                c.cur = Ack {
                    seq,
                    t_int,
                    t_ack: 0,
                    key: tok.key,
                    kseq: tok.kseq,
                    status: 0,
                    _pad: 0,
                    late_us: u32::try_from(now_ns().saturating_sub(t_int) / 1000)
                        .unwrap_or(u32::MAX),
                };
                c.st = St::Busy;
                seq += 1;
                push_out!(i);
            }
        }
        let mut timeout: i64 = if timers.is_empty() {
            100_000_000
        } else {
            1_000_000
        };
        if rate > 0.0 && sending && !idle.is_empty() {
            let next = t0 + (seq as f64 * period) as u64;
            timeout = timeout.min(next.saturating_sub(now_ns()) as i64);
        }
        let ready: Vec<(u64, u32)> = ep
            .wait(&mut evs, timeout)?
            .iter()
            .map(|e| (e.u64, e.events))
            .collect();
        for (data, events) in ready {
            let i = data as usize;
            if events & libc::EPOLLOUT as u32 != 0 {
                push_out!(i);
            }
            if events & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32
                == 0
            {
                continue;
            }
            let Some(fd) = cs[i].fd.as_ref().map(|f| f.as_raw_fd()) else {
                continue;
            };
            let r = net::read(fd, &mut tmp);
            let now = now_ns();
            match r {
                Ok(0) => broken!(i, now),
                Ok(n) => {
                    cs[i].inb.extend_from_slice(&tmp[..n]);
                    match http1::frame(&cs[i].inb, true) {
                        http1::Framed::Partial => {}
                        http1::Framed::Bad => broken!(i, now),
                        http1::Framed::Full(m) => {
                            cs[i].inb.drain(..m.total);
                            if cs[i].st != St::Busy {
                                continue;
                            }
                            finish!(i, m.status, now);
                            if m.close {
                                cs[i].st = St::Idle;
                                broken!(i, now);
                                cs[i].st = St::Down(now); // asked to: reconnect at once
                            } else if (200..300).contains(&m.status) {
                                cs[i].st = St::Idle;
                                idle.push_back(i);
                            } else {
                                // refused: a short pause instead of a spin (Retry-After capped at 1 s)
                                let ms = m
                                    .retry_after_s
                                    .map_or(5, |s| (s as u64 * 1000).clamp(5, 1000));
                                cs[i].st = St::Backoff(now + ms * 1_000_000);
                                timers.push(i);
                            }
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => broken!(i, now),
            }
        }
    }
    let t_end = now_ns();
    // still unanswered: outcome unknown
    for i in 0..cs.len() {
        if cs[i].st == St::Busy {
            finish!(i, 0, t_end);
        }
    }
    let ok: u64 = statuses
        .iter()
        .filter(|(s, _)| (200..300).contains(*s))
        .map(|(_, n)| n)
        .sum();
    if let Some(p) = a.get("--acks") {
        std::fs::write(p, acks_as_bytes(&acks))?;
    }
    let st: Vec<String> = statuses
        .iter()
        .map(|(s, n)| format!("\"{s}\":{n}"))
        .collect();
    println!(
        "{{\"url\":\"{url}\",\"mode\":\"{}\",\"rate\":{rate},\"conns\":{conns},\"rooms\":{rooms},\"run\":{run},\"body_len\":{},\"sent\":{seq},\"acked\":{ok},\"accepted_per_s\":{:.1},\"status\":{{{}}},\"reconnects\":{reconnects},\"backlog_max\":{backlog_max},\"t0_ns\":{t0},\"w0_ns\":{w0},\"w1_ns\":{w1},\"t_end_ns\":{t_end},\"cpu_share\":{:.3},\"ack\":{}}}",
        if rate > 0.0 { "open" } else { "closed" },
        templates[0].body_len,
        in_window as f64 / secs,
        st.join(","),
        (cpu1.unwrap_or_else(cpu_self) - cpu0) / secs,
        quantiles_json(&hist),
    );
    Ok(())
}
