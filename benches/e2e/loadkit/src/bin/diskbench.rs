//! Durable-append limits of the disk under --dir.
//!   diskbench --dir DIR [--n 3000] [--secs 4] [--latency-only] [--gap-us 0]
//! 1. latency of write(4 KiB) + fdatasync: growing file, and overwriting a zero-filled one
//!    --gap-us waits so long before each, as a disk that has rested answers otherwise
//! 2. group commit: 1 KiB records, one write + one fdatasync per batch of 1, 16, 64, 256, 1024
use loadkit::{args::Args, new_hist, now_ns, quantiles_json};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

fn fresh(p: &Path, filled: u64) -> std::io::Result<File> {
    let _ = std::fs::remove_file(p);
    let mut f = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .read(true)
        .open(p)?;
    let z = vec![0u8; 1 << 20];
    for _ in 0..filled >> 20 {
        f.write_all(&z)?;
    }
    f.sync_all()?;
    f.seek(SeekFrom::Start(0))?;
    Ok(f)
}

fn fdatasync(f: &File) {
    assert_eq!(unsafe { libc::fdatasync(f.as_raw_fd()) }, 0);
}

fn main() -> std::io::Result<()> {
    let a = Args::from_env();
    let dir = a.str("--dir", ".");
    let n: u64 = a.num("--n", 3000);
    let secs: f64 = a.num("--secs", 4.0);
    let gap_us: u64 = a.num("--gap-us", 0);
    let p = Path::new(&dir).join(format!("diskbench.{}", std::process::id()));
    let mut out = Vec::new();
    for (name, filled) in [
        ("append_growing", 0u64),
        ("overwrite_zero_filled", 64 << 20),
    ] {
        let mut f = fresh(&p, filled)?;
        let page = vec![7u8; 4096];
        let mut h = new_hist();
        for i in 0..n + 100 {
            if filled > 0 && (i + 1) * 4096 >= filled {
                f.seek(SeekFrom::Start(0))?;
            }
            if gap_us > 0 {
                std::thread::sleep(std::time::Duration::from_micros(gap_us));
            }
            let t = now_ns();
            f.write_all(&page)?;
            fdatasync(&f);
            if i >= 100 {
                h.saturating_record(now_ns() - t);
            }
        }
        out.push(format!("\"fdatasync_4k_{name}\":{}", quantiles_json(&h)));
    }
    let commits: &[(&str, u64)] = if a.flag("--latency-only") {
        &[]
    } else {
        &[("growing", 0), ("zero_filled", 1 << 30)]
    };
    for &(name, filled) in commits {
        for batch in [1usize, 16, 64, 256, 1024] {
            let mut f = fresh(&p, filled)?;
            let buf = vec![9u8; batch * 1024];
            let mut h = new_hist();
            let (t0, mut k, mut at) = (now_ns(), 0u64, 0u64);
            while now_ns() - t0 < (secs * 1e9) as u64 {
                if filled > 0 && at + buf.len() as u64 > filled {
                    f.seek(SeekFrom::Start(0))?;
                    at = 0;
                }
                if filled == 0 && at > 4 << 30 {
                    break;
                }
                let t = now_ns();
                f.write_all(&buf)?;
                fdatasync(&f);
                h.saturating_record(now_ns() - t);
                k += batch as u64;
                at += buf.len() as u64;
            }
            let el = (now_ns() - t0) as f64 / 1e9;
            out.push(format!(
                "\"group_{name}_{batch}\":{{\"records_per_s\":{:.0},\"commit\":{}}}",
                k as f64 / el,
                quantiles_json(&h)
            ));
        }
    }
    let _ = std::fs::remove_file(&p);
    println!("{{{}}}", out.join(",\n "));
    Ok(())
}
