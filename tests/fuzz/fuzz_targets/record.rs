//! The readers of records, letters and checkpoints.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hookfan::log::strange::read(input));
