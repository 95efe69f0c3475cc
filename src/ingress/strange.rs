//! What the strict filter does with bytes of anybody, cut anywhere. Not part
//! of the gateway: `make fuzz` gives it millions of inputs, the tests a few.

#[cfg(test)]
#[path = "../../tests/fuzz/short.rs"]
#[allow(clippy::duplicate_mod, reason = "one short form for every target")]
mod short;

use super::Limits;
use super::framing::{Request, Step};

/// Follows a connection that sends these bytes, whole and byte by byte. Panics
/// where the filter does, or where the cuts decide what it says.
pub fn requests(input: &[u8]) {
    let limits = Limits {
        head_bytes: 1024,
        headers: 16,
        uri_bytes: 256,
        ..Limits::default()
    };
    let whole = follow(&limits, input, input.len());
    assert_eq!(follow(&limits, input, 1), whole);
    let odd = 1 + usize::from(input.first().copied().unwrap_or(0)) % 13;
    assert_eq!(follow(&limits, input, odd), whole);
}

/// Where requests ended, if `cut` bytes come at a time; then what was passed on,
/// or why no more was.
fn follow(limits: &Limits, input: &[u8], cut: usize) -> (Vec<usize>, Result<usize, String>) {
    let mut request = Request::new(limits);
    let (mut passed, mut ends) = (0, Vec::new());
    for came in (0..=input.len()).step_by(cut.max(1)).chain([input.len()]) {
        loop {
            let front = input.get(passed..came).unwrap_or_default();
            if front.is_empty() {
                break;
            }
            match request.step(front) {
                Step::More => break,
                Step::Pass { bytes, last } => {
                    assert!(bytes <= front.len());
                    passed += bytes;
                    if last {
                        ends.push(passed);
                        request = Request::new(limits);
                    }
                }
                Step::Refused(refusal) => return (ends, Err(refusal.to_string())),
            }
        }
    }
    (ends, Ok(passed))
}

#[cfg(test)]
mod tests {
    use super::short::short;

    #[test]
    fn whatever_a_connection_sends_the_cuts_do_not_decide() {
        short("head", 20_000, super::requests);
    }
}
