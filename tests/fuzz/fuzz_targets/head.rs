//! The strict filter in front of hyper.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hookfan::ingress::strange::requests(input));
