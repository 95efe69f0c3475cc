//! A Qiscus message as text: what a destination that knows only text is sent.
//! Never blank, never cut inside a character.

use serde_json::Value as Json;

use crate::vendor::reading;

/// The longest quoted line and custom content, in characters.
const QUOTE_CHARS_MAX: usize = 200;
const CONTENT_CHARS_MAX: usize = 1000;

/// The plain rendering of a message of this kind; `said` is `message.text`,
/// `details` its payload object.
pub(super) fn plain(kind: &str, said: &str, details: &Json) -> String {
    let said = if reading::is_blank(said) { "" } else { said };
    let rendered = match kind {
        "text" | "button_postback_response" => said.to_owned(),
        "buttons" => lines(
            [Some(head(said, details).to_owned())]
                .into_iter()
                .chain(buttons(details)),
        ),
        "card" => card(said, details),
        "carousel" => carousel(said, details),
        "custom" => or_else(said, || custom(details)),
        "location" => or_else(said, || location(details)),
        "contact_person" => or_else(said, || {
            pair(get(details, "name"), get(details, "value")).unwrap_or_default()
        }),
        "account_linking" => account_linking(said, details),
        "reply" => head(said, details).to_owned(),
        "file_attachment" => file_attachment(said, details),
        "system_event" => or_else(said, || labelled("system event", get(details, "type"))),
        other => or_else(said, || labelled("unsupported message", Some(other))),
    };
    if reading::is_blank(&rendered) {
        format!("[{kind}]")
    } else {
        rendered
    }
}

/// The rendering with the quoted line of a reply in front.
pub(super) fn quoted(kind: &str, plain: &str, details: &Json) -> String {
    let message = if kind == "reply" {
        get(details, "replied_comment_message")
    } else {
        None
    };
    let Some(message) = message else {
        return plain.to_owned();
    };
    let folded = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let quote: String = folded.chars().take(QUOTE_CHARS_MAX).collect();
    let name = get(details, "replied_comment_sender_username");
    let name = name.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
    match name {
        Some(name) => format!("> {name}: {quote}\n{plain}"),
        None => format!("> {quote}\n{plain}"),
    }
}

/// A text in the payload that says something.
fn get<'j>(details: &'j Json, key: &str) -> Option<&'j str> {
    reading::text(details, key).filter(|text| !reading::is_blank(text))
}

/// What introduces a message with a payload: the payload's text, else its own.
fn head<'t>(said: &'t str, details: &'t Json) -> &'t str {
    get(details, "text").unwrap_or(said)
}

fn or_else(said: &str, otherwise: impl FnOnce() -> String) -> String {
    if said.is_empty() {
        otherwise()
    } else {
        said.to_owned()
    }
}

fn lines(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let present = parts
        .into_iter()
        .flatten()
        .filter(|part| !reading::is_blank(part));
    present.collect::<Vec<_>>().join("\n")
}

fn labelled(label: &str, kind: Option<&str>) -> String {
    match kind {
        Some(kind) => format!("[{label}: {kind}]"),
        None => format!("[{label}]"),
    }
}

fn pair(first: Option<&str>, second: Option<&str>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first} - {second}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// One line per button. The URL of a postback button is a callback and not for
/// people, unless there is nothing else to show.
fn buttons(details: &Json) -> Vec<Option<String>> {
    let buttons = details.get("buttons").and_then(Json::as_array);
    let line = |button: &Json| {
        let label = get(button, "label");
        let url = button
            .get("payload")
            .and_then(|payload| get(payload, "url"));
        let link = reading::text(button, "type") == Some("link");
        match (label, url) {
            (Some(label), Some(url)) if link => Some(format!("- {label}: {url}")),
            (Some(label), _) => Some(format!("- {label}")),
            (None, Some(url)) => Some(format!("- {url}")),
            (None, None) => None,
        }
    };
    buttons.into_iter().flatten().map(line).collect()
}

fn card(said: &str, details: &Json) -> String {
    let first = head(said, details);
    let fresh = |text: &&str| *text != first;
    let part = |key: &str| get(details, key).filter(fresh).map(str::to_owned);
    let parts = [
        Some(first.to_owned()),
        part("title"),
        part("description"),
        part("url"),
    ];
    lines(parts.into_iter().chain(buttons(details)))
}

fn carousel(said: &str, details: &Json) -> String {
    let cards = details
        .get("cards")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let repeated =
        |card: &Json| [get(card, "title"), get(card, "description")].contains(&Some(said));
    let first = Some(said.to_owned()).filter(|_| !cards.first().is_some_and(repeated));
    let numbered = cards.iter().enumerate().map(|(index, card)| {
        let action = card.get("default_action");
        let link = action.filter(|action| reading::text(action, "type") == Some("link"));
        let url = link.and_then(|action| get(action.get("payload")?, "url"));
        let parts =
            [get(card, "title"), get(card, "description"), url].map(|part| part.map(str::to_owned));
        let text = lines(parts.into_iter().chain(buttons(card)));
        (!text.is_empty()).then(|| format!("{}. {text}", index + 1))
    });
    lines([first].into_iter().chain(numbered))
}

fn custom(details: &Json) -> String {
    let label = labelled("custom", get(details, "type"));
    match details.get("content") {
        None | Some(Json::Null) => label,
        Some(content) => {
            let content: String = content
                .to_string()
                .chars()
                .take(CONTENT_CHARS_MAX)
                .collect();
            format!("{label} {content}")
        }
    }
}

fn location(details: &Json) -> String {
    let named = lines([
        pair(get(details, "name"), get(details, "address")),
        get(details, "map_url").map(str::to_owned),
    ]);
    if !named.is_empty() {
        return named;
    }
    let coordinate = |key: &str| match details.get(key) {
        Some(Json::Number(number)) => Some(number.to_string()),
        Some(Json::String(text)) if !reading::is_blank(text) => Some(text.clone()),
        _ => None,
    };
    match (coordinate("latitude"), coordinate("longitude")) {
        (Some(latitude), Some(longitude)) => format!("{latitude},{longitude}"),
        _ => String::new(),
    }
}

/// The URLs are left out: they can carry tokens.
fn account_linking(said: &str, details: &Json) -> String {
    let button = details
        .get("params")
        .and_then(|params| get(params, "button_text"));
    lines([
        Some(head(said, details).to_owned()),
        Some(labelled("account linking", button)),
    ])
}

fn file_attachment(said: &str, details: &Json) -> String {
    let wrapper = said.trim().starts_with("[file]") && said.trim().ends_with("[/file]");
    let said = Some(said).filter(|said| !wrapper && !said.is_empty());
    let url = get(details, "url");
    let title = get(details, "caption")
        .or(said)
        .or_else(|| get(details, "file_name"));
    lines([
        title.filter(|title| Some(*title) != url).map(str::to_owned),
        url.map(str::to_owned),
    ])
}
