//! The short form of fuzzing, in `make test`: the inputs that were kept, then
//! changes of them, always the same ones.

/// Gives each to `survive`: whatever is in the corpus of that name, and
/// `count` inputs made of it.
pub(crate) fn short(target: &str, count: usize, survive: impl Fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let kept: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(!kept.is_empty(), "nothing to begin with");
    for input in &kept {
        survive(input);
    }
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..count {
        let mut input = kept[dice.usize(..kept.len())].clone();
        for _ in 0..dice.usize(1..8) {
            let at = dice.usize(..=input.len());
            match dice.u8(..5) {
                0 => input.insert(at, dice.u8(..)),
                1 => input.truncate(at),
                2 => {
                    let other = &kept[dice.usize(..kept.len())];
                    input.splice(at.., other[dice.usize(..=other.len())..].iter().copied());
                }
                _ => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte = dice.u8(..);
                    }
                }
            }
        }
        survive(&input);
    }
}
