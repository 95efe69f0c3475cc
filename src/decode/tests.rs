//! What the decoder promises.

use std::time::Duration;

use super::*;
use crate::secret::Secret;

/// Reads a text with `read` and returns what it read and every complaint as
/// `span-text: message`.
fn check<T>(text: &str, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> (T, Vec<String>) {
    let table = DeTable::parse(text).unwrap();
    let mut decoder = Decoder::new(Secrets::Offline, "");
    let mut fields = Fields::new(&mut decoder, table.get_ref(), 0, 0..0, "");
    let value = read(&mut fields);
    fields.finish();
    let lines = decoder
        .complaints
        .iter()
        .map(|c| format!("{}: {}", text.get(c.span.clone()).unwrap(), c.message))
        .collect();
    (value, lines)
}

fn read_secret(
    text: &str,
    secrets: Secrets,
    base: &std::path::Path,
) -> (Option<Secret>, Vec<Complaint>, Vec<std::path::PathBuf>) {
    let table = DeTable::parse(text).unwrap();
    let mut decoder = Decoder::new(secrets, base);
    let mut fields = Fields::new(&mut decoder, table.get_ref(), 0, 0..0, "source.shop");
    let secret = fields.secret("secret").map(|at| at.value);
    fields.finish();
    (secret, decoder.complaints, decoder.secret_files)
}

#[test]
fn every_kind_of_value_is_read_with_its_place() {
    let text = "a = 'x'\nb = ['y', 'z']\nc = true\nd = '1h30m'\ne = '64MiB'\nf = 1_000_000\ng = '100/m'\nh = 512\ni = ['5s', '1m']\n";
    let (_, complaints) = check(text, |fields| {
        assert_eq!(
            fields.text("a"),
            Some(At {
                value: "x".into(),
                file: 0,
                span: 4..7
            })
        );
        let texts: Vec<_> = fields.texts("b").into_iter().map(|at| at.value).collect();
        assert_eq!(texts, ["y", "z"]);
        assert!(fields.flag("c", false));
        assert_eq!(
            fields.duration("d").unwrap().value,
            Duration::from_secs(5400)
        );
        assert_eq!(fields.size("e").unwrap().value, 64 << 20);
        assert_eq!(fields.count("f", 1).unwrap().value, 1_000_000);
        assert_eq!(
            fields.rate("g").unwrap().value,
            Rate {
                per_second: 100.0 / 60.0
            }
        );
        assert_eq!(fields.size("h").unwrap().value, 512);
        assert_eq!(fields.durations("i").unwrap().len(), 2);
        assert_eq!(fields.text("absent"), None);
        assert!(fields.flag("absent too", true));
    });
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn a_wrong_value_says_what_belongs_there() {
    for (text, complaint) in [
        (
            "d = 30",
            "30: `d` must be a duration such as \"30s\", not a whole number",
        ),
        ("d = '30'", "'30': `d` is no duration: it has no unit"),
        (
            "d = '-1s'",
            "'-1s': `d` is no duration: it must not be negative",
        ),
        ("s = 0", "0: `s` is no size: it must be more than zero"),
        ("s = -5", "-5: `s` is no size: it must not be negative"),
        (
            "s = 0x7fff_ffff_ffff_ffff_f",
            "0x7fff_ffff_ffff_ffff_f: `s` is no size: it is more than the 8 EiB that fit",
        ),
        (
            "s = nan",
            "nan: `s` must be a size such as \"64MiB\", not a floating-point number",
        ),
        ("n = 0", "0: `n` must be a whole number of at least 1"),
        (
            "n = '8'",
            "'8': `n` must be a whole number of at least 1, not a text",
        ),
        (
            "n = 1.5",
            "1.5: `n` must be a whole number of at least 1, not a floating-point number",
        ),
        (
            "n = 99999999999999999999999999",
            "99999999999999999999999999: `n` is more than the 9223372036854775807 that fit",
        ),
        (
            "r = 'unlimited'",
            "'unlimited': `r` is no rate: there is no \"unlimited\"",
        ),
        ("b = 'yes'", "'yes': `b` must be true or false, not a text"),
        (
            "t = 1979-05-27",
            "1979-05-27: `t` must be a text, not a date",
        ),
        ("c = 'wiat'", "'wiat': `c` cannot be \"wiat\""),
        ("x = 1", "x: unknown key `x` at the top level"),
    ] {
        let (_, complaints) = check(text, |fields| {
            fields.duration("d");
            fields.size("s");
            fields.count("n", 1);
            fields.rate("r");
            fields.flag("b", false);
            fields.text("t");
            fields.choice("c", &[("wait", 1), ("skip", 2)]);
        });
        assert_eq!(complaints, [complaint], "{text}");
    }
}

#[test]
fn an_unknown_key_is_compared_with_those_that_are_still_free() {
    let text = "[limits]\ntimout = '1s'\n";
    let table = DeTable::parse(text).unwrap();
    let mut decoder = Decoder::new(Secrets::Offline, "");
    let mut fields = Fields::new(&mut decoder, table.get_ref(), 0, 0..0, "");
    fields.table("limits", |limits| limits.duration("timeout"));
    fields.finish();
    assert_eq!(
        decoder.complaints[0].message,
        "unknown key `timout` in [limits]"
    );
    assert_eq!(
        decoder.complaints[0].help.as_deref(),
        Some("did you mean \"timeout\"?")
    );
}

#[test]
fn a_typed_secret_is_never_printed() {
    for text in [
        "secret = 'hunter2'",
        "secret = 'env:HUNTER2'",
        "secret = ['hunter2']",
        "secret = 12345",
        "secret = { env = 'hunter-2!' }",
    ] {
        let (secret, complaints, _) = read_secret(text, Secrets::Offline, std::path::Path::new(""));
        assert_eq!(secret, None, "{text}");
        assert_eq!(complaints.len(), 1, "{text}");
        assert!(complaints[0].hides_source(), "{text}");
        let told = format!("{complaints:?}");
        assert!(
            !told.contains("hunter") && !told.contains("HUNTER") && !told.contains("12345"),
            "{told}"
        );
    }
}

#[test]
fn the_form_of_a_reference_is_checked_offline() {
    for (text, message) in [
        (
            "secret = { env = 'A', file = 'b' }",
            "a secret has one key, `env` or `file`, not both",
        ),
        (
            "secret = { env = 'A', x = 1 }",
            "a secret has one key, `env` or `file`",
        ),
        ("secret = { env = '' }", "`env` names nothing"),
        (
            "secret = { file = 3 }",
            "`file` must be a text, not a whole number",
        ),
        (
            "secret = {}",
            "`source.shop.secret` must say where the secret is",
        ),
    ] {
        let (secret, complaints, _) = read_secret(text, Secrets::Offline, std::path::Path::new(""));
        assert_eq!(
            (secret, complaints[0].message.as_str()),
            (None, message),
            "{text}"
        );
    }
    let (secret, complaints, files) = read_secret(
        "secret = { file = 'nowhere' }",
        Secrets::Offline,
        std::path::Path::new(""),
    );
    assert!(secret.is_some() && complaints.is_empty() && files.is_empty());
}

#[test]
fn a_secret_file_loses_one_newline_and_is_remembered() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    for (content, mode, expected, messages) in [
        ("abc\n", 0o600, Some("abc"), 0),
        ("abc\r\n", 0o600, Some("abc"), 0),
        ("abc\n\n", 0o600, Some("abc\n"), 0),
        ("abc", 0o644, Some("abc"), 1),
        ("\n", 0o600, None, 1),
        ("", 0o600, None, 1),
    ] {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (secret, complaints, files) =
            read_secret("secret = { file = 'token' }", Secrets::Resolve, dir.path());
        assert_eq!(
            secret.as_ref().and_then(Secret::expose_text),
            expected,
            "{content:?}"
        );
        assert_eq!(complaints.len(), messages, "{content:?}: {complaints:?}");
        assert_eq!(files.is_empty(), expected.is_none());
    }
    std::fs::write(&path, vec![b'x'; (64 << 10) + 1]).unwrap();
    for (text, message) in [
        ("secret = { file = 'token' }", "larger than 64 KiB"),
        ("secret = { file = '.' }", "no regular file"),
        ("secret = { file = 'gone' }", "cannot be read"),
    ] {
        let (secret, complaints, _) = read_secret(text, Secrets::Resolve, dir.path());
        assert!(
            secret.is_none() && complaints[0].message.contains(message),
            "{complaints:?}"
        );
    }
}

#[test]
fn a_secret_that_is_not_set_is_an_error_with_its_name() {
    let (secret, complaints, _) = read_secret(
        "secret = { env = 'HOOKFAN_TEST_SURELY_UNSET' }",
        Secrets::Resolve,
        std::path::Path::new(""),
    );
    assert_eq!(
        (secret, complaints[0].message.as_str()),
        (
            None,
            "the environment variable HOOKFAN_TEST_SURELY_UNSET is not set"
        )
    );
    let (secret, _, _) = read_secret(
        "secret = { env = 'PATH' }",
        Secrets::Resolve,
        std::path::Path::new(""),
    );
    assert!(secret.is_some());
}

#[test]
fn several_secrets_come_one_to_five_at_a_time() {
    for (text, found, complaints) in [
        ("secret = { env = 'A' }", 1, 0),
        ("secrets = [{ env = 'A' }, { env = 'B' }]", 2, 0),
        ("secrets = { env = 'A' }", 1, 0),
        ("secrets = []", 0, 1),
        ("secrets = [{ env = 'A' }, 'typed']", 1, 1),
        ("secret = { env = 'A' }\nsecrets = [{ env = 'B' }]", 2, 1),
        (
            "secrets = [{env='A'}, {env='A'}, {env='A'}, {env='A'}, {env='A'}, {env='A'}]",
            6,
            1,
        ),
        ("", 0, 0),
    ] {
        let (secrets, told) = check(text, |fields| fields.secrets("secret", "secrets").len());
        assert_eq!(
            (secrets, told.len()),
            (found, complaints),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn a_place_inside_a_text_is_found_where_there_are_no_escapes() {
    for (text, expected) in [
        ("w = 'abc def'", "def"),
        ("w = \"abc def\"", "def"),
        ("w = '''\nabc def'''", "def"),
        ("w = \"\"\"abc def\"\"\"", "def"),
        ("w = \"abc\\u0020def\"", "\"abc\\u0020def\""),
    ] {
        let table = DeTable::parse(text).unwrap();
        let span = inside(table.get_ref().get("w").unwrap(), &(4..7));
        assert_eq!(text.get(span), Some(expected), "{text}");
    }
}

#[test]
fn tables_are_read_alone_and_in_lists() {
    let text = "one = { a = 'x' }\nmany = [{ a = 'y' }, { a = 'z', b = 1 }, 3]\n";
    let (names, complaints) = check(text, |fields| {
        let name = |table: &mut Fields<'_, '_>| table.text("a").map(|at| at.value);
        let mut names = fields.tables("one", name);
        names.extend(fields.tables("many", name));
        let names: Vec<_> = names.into_iter().flatten().collect();
        names
    });
    assert_eq!(names, ["x", "y", "z"]);
    assert_eq!(
        complaints,
        [
            "b: unknown key `b` in [many 2]",
            "3: `many` must be a table, not a whole number"
        ]
    );
}
