//! Compares what the server acknowledged with what the sink got.
//!
//!   verify --acks FILE --recs FILE --dests 3 [--w0 NS --w1 NS] [--list-lost N]
//!
//! lost       acknowledged (2xx) and never delivered with a 2xx at that destination
//! dup        deliveries answered 2xx beyond the first of the same event
//! extra      delivered but not acknowledged (refused, or outcome unknown: crash in between)
//! reorder    first deliveries that came after a later event of the same room
use loadkit::{acks_from_bytes, args::Args, new_hist, quantiles_json, recs_from_bytes};
use std::collections::{HashMap, HashSet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = Args::from_env();
    let acks = acks_from_bytes(&std::fs::read(a.get("--acks").ok_or("--acks")?)?);
    let recs = recs_from_bytes(&std::fs::read(a.get("--recs").ok_or("--recs")?)?);
    let n: usize = a.num("--dests", 3);
    let w0: u64 = a.num("--w0", 0);
    let w1: u64 = a.num("--w1", u64::MAX);
    let list: usize = a.num("--list-lost", 5);
    let acked: HashSet<u64> = acks
        .iter()
        .filter(|r| (200..300).contains(&r.status))
        .map(|r| r.seq)
        .collect();
    let unknown: HashSet<u64> = acks
        .iter()
        .filter(|r| r.status == 0)
        .map(|r| r.seq)
        .collect();
    let mut all = new_hist();
    let mut out = Vec::new();
    let (mut lost_t, mut dup_t, mut reorder_t, mut copies_w) = (0u64, 0u64, 0u64, 0u64);
    let mut lost_any: HashSet<u64> = HashSet::new();
    let (mut t_first, mut t_last) = (u64::MAX, 0u64);
    for d in 1..=n {
        let mut seen: HashSet<u64> = HashSet::new();
        let mut max: HashMap<u32, u32> = HashMap::new();
        let mut h = new_hist();
        let (mut attempts, mut failed, mut dup, mut reorder, mut in_w) =
            (0u64, 0u64, 0u64, 0u64, 0u64);
        for r in recs.iter().filter(|r| r.dest as usize == d) {
            attempts += 1;
            if !(200..300).contains(&r.status) {
                failed += 1;
                continue;
            }
            if !seen.insert(r.seq) {
                dup += 1;
                continue;
            }
            t_first = t_first.min(r.t_recv);
            t_last = t_last.max(r.t_recv);
            if r.t_recv >= w0 && r.t_recv < w1 {
                in_w += 1;
            }
            if r.t_int >= w0 && r.t_int < w1 {
                let v = r.t_recv.saturating_sub(r.t_int).max(1_000);
                h.saturating_record(v);
                all.saturating_record(v);
            }
            let m = max.entry(r.key).or_insert(0);
            if r.kseq + 1 < *m {
                reorder += 1;
            } else {
                *m = r.kseq + 1;
            }
        }
        let lost: Vec<u64> = acked
            .iter()
            .filter(|s| !seen.contains(s))
            .copied()
            .collect();
        let extra = seen.iter().filter(|s| !acked.contains(s)).count();
        let extra_unknown = seen.iter().filter(|s| unknown.contains(s)).count();
        lost_any.extend(&lost);
        lost_t += lost.len() as u64;
        dup_t += dup;
        reorder_t += reorder;
        copies_w += in_w;
        out.push(format!(
            "{{\"dest\":{d},\"attempts\":{attempts},\"failed\":{failed},\"delivered\":{},\"lost\":{},\"dup\":{dup},\"reorder\":{reorder},\"extra\":{extra},\"extra_of_unknown\":{extra_unknown},\"in_window\":{in_w},\"e2e\":{}}}",
            seen.len(),
            lost.len(),
            quantiles_json(&h)
        ));
    }
    let mut some: Vec<u64> = lost_any.iter().copied().collect();
    some.sort();
    let some: Vec<String> = some.iter().take(list).map(|s| s.to_string()).collect();
    println!(
        "{{\"acked\":{},\"unknown\":{},\"copies_lost\":{lost_t},\"events_lost\":{},\"dup\":{dup_t},\"reorder\":{reorder_t},\"copies_in_window\":{copies_w},\"t_first_ns\":{t_first},\"t_last_ns\":{t_last},\"lost_sample\":[{}],\"e2e\":{},\"dests\":[{}]}}",
        acked.len(),
        unknown.len(),
        lost_any.len(),
        some.join(","),
        quantiles_json(&all),
        out.join(",")
    );
    Ok(())
}
