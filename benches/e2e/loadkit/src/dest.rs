//! One destination of the sink: how it behaves and what it has counted.

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Ok,
    Hang,
    Close,
}

#[derive(Clone)]
pub struct Behave {
    pub mode: Mode,
    pub latency_ns: u64,
    pub jitter_ns: u64,
    pub error: f64,
    pub status: u16,
    pub retry_after: Option<u32>,
}
impl Default for Behave {
    fn default() -> Self {
        Self {
            mode: Mode::Ok,
            latency_ns: 0,
            jitter_ns: 0,
            error: 0.0,
            status: 503,
            retry_after: None,
        }
    }
}

#[derive(Default)]
pub struct Dest {
    pub behave: Behave,
    pub attempts: u64,
    pub ok: u64,
    pub errors: u64,
    pub hung: u64,
    pub closed: u64,
    pub no_token: u64,
    pub stale: u64,
    pub unique: u64,
    pub dup: u64,
    pub reorder: u64,
    pub conns: u64,
    pub conns_total: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    seen: Vec<u64>,
    key_max: Vec<u32>,
}

impl Dest {
    /// Counts from nothing again; its behaviour and its open connections stay.
    pub fn forget(&mut self) {
        *self = Self {
            behave: self.behave.clone(),
            conns: self.conns,
            ..Self::default()
        };
    }

    /// Whether this is the first copy of event `seq`.
    pub fn mark(&mut self, seq: u64) -> bool {
        let (w, b) = ((seq / 64) as usize, seq % 64);
        if w >= self.seen.len() {
            self.seen.resize((w + 1).next_power_of_two(), 0);
        }
        let new = self.seen[w] & (1 << b) == 0;
        self.seen[w] |= 1 << b;
        new
    }
    /// Counts a copy that came after a later one of its room.
    pub fn order(&mut self, key: u32, kseq: u32) {
        let k = key as usize;
        if k >= self.key_max.len() {
            self.key_max.resize((k + 1).next_power_of_two(), 0);
        }
        // stored +1 so that 0 means "none yet"
        if kseq < self.key_max[k] {
            self.reorder += 1;
        } else {
            self.key_max[k] = kseq + 1;
        }
    }

    /// Its counters; `number` is what the sink calls it.
    pub fn to_json(&self, number: usize) -> String {
        let counters = [
            ("attempts", self.attempts),
            ("ok", self.ok),
            ("unique", self.unique),
            ("dup", self.dup),
            ("reorder", self.reorder),
            ("errors", self.errors),
            ("hung", self.hung),
            ("closed", self.closed),
            ("no_token", self.no_token),
            ("stale", self.stale),
            ("conns", self.conns),
            ("conns_total", self.conns_total),
            ("first_ns", self.first_ns),
            ("last_ns", self.last_ns),
        ];
        let drawn: Vec<String> = counters
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{\"dest\":{number},{}}}", drawn.join(","))
    }
}
