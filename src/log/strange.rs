//! What the readers of the log do with bytes that nobody wrote. Not part of
//! the gateway: `make fuzz` gives it millions of inputs, the tests a few.

#[cfg(test)]
#[path = "../../tests/fuzz/short.rs"]
#[allow(clippy::duplicate_mod, reason = "one short form for every target")]
mod short;

use super::checkpoint::Checkpoint;
use super::letter::Letter;
use super::record::{EventHead, Fact, In, Name, Out, Tag, read_attempts};

/// Reads the rest of the input as what its first byte says. Panics where a
/// reader does, or where what was read does not read back as it was.
pub fn read(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    match kind % 6 {
        0 => event(bytes),
        1 => fact(bytes),
        2 => {
            let name = Name::read(&mut In(bytes));
            let again = name.as_ref().map(|name| written(|out| name.write(out)));
            assert_eq!(again.and_then(|bytes| Name::read(&mut In(&bytes))), name);
        }
        3 => drop(read_attempts(&mut In(bytes))),
        4 => drop(Letter::read(bytes)),
        _ => drop(Checkpoint::parse(bytes)),
    }
}

fn event(bytes: &[u8]) {
    let Some(head) = EventHead::read(bytes) else {
        return;
    };
    assert!(head.owed.iter().count() <= bytes.len());
    assert!(head.type_and_key().is_some() || head.event().is_none());
}

fn fact(bytes: &[u8]) {
    for tag in Tag::ALL {
        let Some(fact) = Fact::read(tag, bytes) else {
            continue;
        };
        let again = written(|out| fact.write(out));
        assert_eq!(Fact::read(fact.tag(), &again).as_ref(), Some(&fact));
    }
}

/// What is written, without its frame.
fn written(write: impl FnOnce(&mut Out<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Out(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::short::short;

    #[test]
    fn whatever_bytes_a_record_has_nobody_panics() {
        short("record", 200_000, super::read);
    }
}
