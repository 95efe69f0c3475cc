//! Shared parts of the load kit: clock, event token, webhook bodies, epoll, HTTP/1.1 framing.
//!
//! The load generator and the sink share ONE core and must cost less than any server under
//! test, so both are single-threaded epoll loops with hand-written framing, not hyper.

pub mod args;
pub mod dest;
pub mod http1;
pub mod net;
pub mod token;
pub mod webhook;

/// CLOCK_MONOTONIC in nanoseconds; comparable between processes of one machine.
pub fn now_ns() -> u64 {
    let mut ts = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// CPU seconds (user + system) this process has used.
pub fn cpu_self() -> f64 {
    let mut r: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut r) };
    let f = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    f(r.ru_utime) + f(r.ru_stime)
}

/// One received request, as the sink dumps it and `verify` reads it (40 bytes, little endian).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rec {
    pub t_recv: u64,
    /// intended send time carried in the token
    pub t_int: u64,
    pub seq: u64,
    pub key: u32,
    pub kseq: u32,
    pub dest: u16,
    /// status answered; 0 = hung, 1 = connection closed without an answer
    pub status: u16,
    pub _pad: u32,
}

pub const REC_LEN: usize = std::mem::size_of::<Rec>();

pub fn recs_as_bytes(r: &[Rec]) -> &[u8] {
    unsafe { std::slice::from_raw_parts(r.as_ptr() as *const u8, std::mem::size_of_val(r)) }
}

pub fn recs_from_bytes(b: &[u8]) -> Vec<Rec> {
    let n = b.len() / REC_LEN;
    let mut v: Vec<Rec> = Vec::with_capacity(n);
    unsafe {
        std::ptr::copy_nonoverlapping(b.as_ptr(), v.as_mut_ptr() as *mut u8, n * REC_LEN);
        v.set_len(n);
    }
    v
}

/// One line of the load generator's result file (40 bytes, little endian).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub seq: u64,
    pub t_int: u64,
    pub t_ack: u64,
    pub key: u32,
    pub kseq: u32,
    /// HTTP status; 0 = outcome unknown (connection broke before an answer)
    pub status: u16,
    pub _pad: u16,
    /// Microseconds from when it was due until it was sent: the open loop may be behind.
    pub late_us: u32,
}
pub const ACK_LEN: usize = std::mem::size_of::<Ack>();

pub fn acks_as_bytes(r: &[Ack]) -> &[u8] {
    unsafe { std::slice::from_raw_parts(r.as_ptr() as *const u8, std::mem::size_of_val(r)) }
}
pub fn acks_from_bytes(b: &[u8]) -> Vec<Ack> {
    let n = b.len() / ACK_LEN;
    let mut v: Vec<Ack> = Vec::with_capacity(n);
    unsafe {
        std::ptr::copy_nonoverlapping(b.as_ptr(), v.as_mut_ptr() as *mut u8, n * ACK_LEN);
        v.set_len(n);
    }
    v
}

pub fn quantiles_json(h: &hdrhistogram::Histogram<u64>) -> String {
    let ms = |q: f64| h.value_at_quantile(q) as f64 / 1e6;
    format!(
        "{{\"n\":{},\"mean_ms\":{:.4},\"p50_ms\":{:.4},\"p90_ms\":{:.4},\"p99_ms\":{:.4},\"p999_ms\":{:.4},\"max_ms\":{:.4}}}",
        h.len(),
        h.mean() / 1e6,
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(0.999),
        h.max() as f64 / 1e6
    )
}

pub fn new_hist() -> hdrhistogram::Histogram<u64> {
    // 1 us .. 1 hour in ns, 3 digits
    hdrhistogram::Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).unwrap()
}
