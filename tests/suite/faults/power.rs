//! Power cuts at the level of blocks are `make power`: it needs root, and file
//! systems to mount. What it takes a cut to be is pure, and held here.

use std::path::Path;
use std::process::Command;

/// A2: up to the last flush everything, after it any sectors, and nothing else.
/// Where there is no python3 there is no rig either.
#[test]
fn the_power_rig_shows_every_disk_a_cut_may_leave_and_no_other() {
    let tape = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/tape.py");
    let Ok(told) = Command::new("python3").arg(tape).arg("--selftest").output() else {
        println!("no python3 here");
        return;
    };
    assert!(told.status.success(), "{told:?}");
}
