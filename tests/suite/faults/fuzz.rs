//! Bytes of anybody for every reader that the crate makes public: the short
//! form of `make fuzz`, over what the fuzzer kept.

#[path = "../../fuzz/targets.rs"]
mod targets;
#[path = "../../fuzz/short.rs"]
mod short;

use short::short;

#[test]
fn whatever_a_routing_file_holds_it_is_complained_about() {
    short("config", 2000, targets::config_text);
}

#[test]
fn whatever_proof_is_made_up_nobody_believes_it() {
    short("signature", 20_000, targets::signature);
}

#[test]
fn whatever_a_vendor_posts_is_read_or_refused() {
    short("vendor", 20_000, targets::vendor);
}

#[test]
fn whatever_a_value_holds_the_request_goes_where_the_file_says() {
    short("template", 20_000, targets::template);
}

#[test]
fn whatever_was_changed_in_a_data_folder_it_opens_or_says_why_not() {
    short("folder", 60, targets::folder);
}
