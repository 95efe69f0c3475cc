//! Names that tell that their value is a secret, for refusing what was typed
//! and for hiding it where the file is shown.

/// Whether a key of this name holds a secret whatever else the file is about:
/// `password`, `client_secret`, `apiKey`, `access_token`.
pub fn tells_secret(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    let inside = [
        "passw",
        "passphrase",
        "apikey",
        "privatekey",
        "accesskey",
        "authoriz",
    ];
    inside.iter().any(|part| joined.contains(part))
        || words.iter().any(|word| {
            let ends = ["secret", "secrets", "token"];
            ends.iter().any(|end| word.ends_with(end))
                || word.starts_with("credential")
                || matches!(word.as_str(), "tokens" | "pwd" | "passwd" | "signing")
        })
}

/// Whether a header or a query parameter of this name proves identity:
/// `X-Functions-Key`, `X-Auth`, `sig`, and all that [`tells_secret`].
pub fn tells_proof(name: &str) -> bool {
    tells_secret(name)
        || words(name).iter().any(|word| {
            let auth = word.contains("auth") && !word.contains("author");
            auth || word.ends_with("sig")
                || word.ends_with("signature")
                || ["key", "keys", "cookie", "jwt", "bearer", "pass"].contains(&word.as_str())
        })
}

/// `X-AuthToken`: x, auth, token.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        lower = letter.is_lowercase();
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_by_its_words() {
        for (name, secret, proof) in [
            ("password", true, true),
            ("clientSecret", true, true),
            ("APIKey", true, true),
            ("x-api-key", true, true),
            ("X-Functions-Key", false, true),
            ("X-AuthKey", false, true),
            ("sig", false, true),
            ("X-Author", false, false),
            ("X-Design", false, false),
            ("monkey", false, false),
            ("tokenizer", false, false),
            ("page", false, false),
        ] {
            assert_eq!(
                (tells_secret(name), tells_proof(name)),
                (secret, proof),
                "{name}"
            );
        }
    }
}
