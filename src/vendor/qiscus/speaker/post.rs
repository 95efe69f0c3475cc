//! A message as what `post_comment` takes: one post, or several where it has
//! several attachments or is too long.

use serde_json::{Map, Value as Json, json};

use super::{LongText, Speaker};
use crate::event::Direction;
use crate::message::{Attachment, Message};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::qiscus::api::Version;
use crate::vendor::qiscus::{MARK, message::details_of};
use crate::vendor::{Call, asking, reading};

/// One comment to be posted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Post {
    kind: String,
    text: String,
    /// An object.
    payload: Json,
}

/// The most posts one message becomes.
const POSTS_MAX: usize = 20;

/// The types `post_comment` takes with a payload (documented for v2.1; for v2
/// all but the carousel and the file).
const KINDS: &[&str] = &[
    "account_linking",
    "buttons",
    "card",
    "carousel",
    "contact_person",
    "custom",
    "file_attachment",
    "location",
    "reply",
];

impl Post {
    fn text(text: impl Into<String>) -> Self {
        Self {
            kind: "text".to_owned(),
            text: text.into(),
            payload: json!({}),
        }
    }

    fn file(attachment: &Attachment, caption: &str) -> Self {
        let Attachment { url, name, .. } = attachment;
        let text = match caption {
            "" => format!("[file] {url} [/file]"),
            caption => caption.to_owned(),
        };
        Self {
            kind: "file_attachment".to_owned(),
            text,
            payload: json!({
                "url": url,
                "caption": caption,
                "file_name": name.as_deref().unwrap_or_default(),
            }),
        }
    }

    /// Of all that people read in it, the longest, in characters.
    fn chars(&self) -> usize {
        let within = ["text", "caption"].map(|name| reading::text(&self.payload, name));
        let texts = within.into_iter().flatten().chain([self.text.as_str()]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

impl Speaker {
    /// `own`: the room is the one the event comes from.
    pub(super) fn posts(
        &self,
        call: &Call<'_>,
        message: &Message,
        own: bool,
    ) -> Result<Vec<Post>, Unsendable> {
        let posts = if self.api.version == Version::Omnichannel {
            vec![Post::text(with_urls(message))]
        } else if let Some(post) = self.typed(call, message, own) {
            vec![post]
        } else if message.attachments.is_empty() || call.event.kind.as_str() == "qiscus" {
            vec![Post::text(message.quoted.as_str())]
        } else {
            self.files(message)
        };
        let mut fitting = Vec::new();
        for post in posts {
            if post.chars() <= self.text_max {
                fitting.push(post);
            } else {
                let text = match post.kind.as_str() {
                    "text" => &post.text,
                    _ => &message.quoted,
                };
                fitting.extend(self.shortened(text)?);
            }
        }
        if fitting.len() > POSTS_MAX {
            let detail = format!(
                "it would be {} messages, and more than {POSTS_MAX} are not sent for one; `long_text` says what becomes of long texts",
                fitting.len()
            );
            return Err(asking::unsendable(detail));
        }
        Ok(fitting)
    }

    /// What came in Qiscus' own shape keeps its type.
    fn typed(&self, call: &Call<'_>, message: &Message, own: bool) -> Option<Post> {
        if call.event.kind.as_str() != "qiscus" {
            return None;
        }
        let kind = message.kind.as_str();
        // The pressed button is documented for v2.1 only; a comment that is
        // replied to is known in its own account only.
        let taken = KINDS.contains(&kind)
            || (kind == "button_postback_response" && self.api.version == Version::V21);
        if !taken || (kind == "reply" && !own) {
            return None;
        }
        let body = call.payload().at("payload.message")?;
        let mut details = details_of(body);
        // Numbers that reading has rounded are not sent on.
        if call.payload().is_rounded(&details) {
            return None;
        }
        if kind == "card" {
            name_picture(&mut details, self.api.version);
        }
        let said = |value: &Json| {
            reading::text(value, "text")
                .filter(|said| !reading::is_blank(said))
                .map(str::to_owned)
        };
        let text = said(body).or_else(|| said(&details));
        Some(Post {
            kind: kind.to_owned(),
            text: text.unwrap_or_else(|| message.text.clone()),
            payload: details,
        })
    }

    /// The text is the first file's caption, unless it is too long for one.
    fn files(&self, message: &Message) -> Vec<Post> {
        let urls = |line: &&str| !message.attachments.iter().any(|one| one.url == line.trim());
        let caption: Vec<&str> = message.quoted.lines().filter(urls).collect();
        let caption = caption.join("\n");
        let caption = caption.trim();
        let fits = caption.chars().count() <= self.text_max;
        let mut posts = Vec::new();
        if !fits {
            posts.push(Post::text(caption));
        }
        for (index, attachment) in message.attachments.iter().enumerate() {
            let caption = if fits && index == 0 { caption } else { "" };
            posts.push(Post::file(attachment, caption));
        }
        posts
    }

    fn shortened(&self, text: &str) -> Result<Vec<Post>, Unsendable> {
        let (text, max) = (text.trim(), self.text_max);
        match self.long_text {
            LongText::DeadLetter => Err(asking::unsendable(format!(
                "the text has {} characters, and Qiscus takes {max} (`text_max`); long_text = \"split\" or \"cut\" would send it",
                text.chars().count()
            ))),
            LongText::Cut => {
                let end = boundary(text, max);
                Ok(vec![Post::text(text.get(..end).unwrap_or(text))])
            }
            LongText::Split => Ok(pieces(text, max).into_iter().map(Post::text).collect()),
        }
    }

    /// The request for one post; `number` counts from 1.
    pub(super) fn post_request(
        &self,
        call: &Call<'_>,
        message: &Message,
        room: &str,
        post: &Post,
        number: usize,
    ) -> Result<Outgoing, Unsendable> {
        let sender = self.sender_of(call, message.direction)?;
        let mut body = Map::new();
        let mut put = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
        match self.api.version {
            Version::V2 => {
                let mark = format!("{MARK}{}", call.event.id);
                let mark = if number == 1 {
                    mark
                } else {
                    format!("{mark}-{number}")
                };
                put("sender_email", sender.into());
                put("room_id", room.into());
                put("message", post.text.as_str().into());
                put("type", post.kind.as_str().into());
                put("payload", post.payload.to_string().into());
                put("unique_temp_id", mark.into());
                put("disable_link_preview", self.disable_link_preview.into());
            }
            Version::V21 => {
                put("user_id", sender.into());
                put("room_id", room.into());
                put("message", post.text.as_str().into());
                put("type", post.kind.as_str().into());
                put("payload", post.payload.clone());
                put("extras", json!({ "hookfan": call.event.id.to_string() }));
            }
            Version::Omnichannel => {
                put("sender_email", sender.into());
                put("message", post.text.as_str().into());
                put("room_id", room.into());
                put("type", "text".into());
                return Ok(self.api.post("bot", &body));
            }
        }
        Ok(self.api.post("post_comment", &body))
    }

    /// Who speaks.
    pub(super) fn sender_of(
        &self,
        call: &Call<'_>,
        direction: Direction,
    ) -> Result<String, Unsendable> {
        let agent = self.agent_sender.as_ref();
        let template = agent
            .filter(|_| direction == Direction::Outgoing)
            .unwrap_or(&self.sender);
        let sender = template.render_text(&asking::scope(call))?;
        match sender.trim() {
            "" => Err(asking::unsendable(
                "`sender` comes to nothing: nobody speaks",
            )),
            sender => Ok(sender.to_owned()),
        }
    }
}

/// Qiscus documents `image_url` for what v2 is sent, and `image` for v2.1 and
/// for what both tell of it.
fn name_picture(details: &mut Json, version: Version) {
    let (from, to) = match version {
        Version::V2 => ("image", "image_url"),
        Version::V21 | Version::Omnichannel => ("image_url", "image"),
    };
    if let Json::Object(map) = details
        && !map.contains_key(to)
        && let Some(url) = map.get(from).cloned()
    {
        map.insert(to.to_owned(), url);
    }
}

/// The text, and below it the addresses of files it does not show.
fn with_urls(message: &Message) -> String {
    let mut text = message.quoted.clone();
    for attachment in &message.attachments {
        if !text.contains(&attachment.url) {
            text.push('\n');
            text.push_str(&attachment.url);
        }
    }
    text
}

/// The text in pieces of at most `max` characters, parted at white space where
/// there is some in the second half.
fn pieces(text: &str, max: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut end = boundary(rest, max);
        let piece = rest.get(..end).unwrap_or(rest);
        let space = piece.rfind(char::is_whitespace);
        if end < rest.len()
            && let Some(space) = space.filter(|space| *space > end / 2)
        {
            end = space;
        }
        let piece = rest.get(..end).unwrap_or(rest);
        rest = rest.get(end..).unwrap_or_default().trim_start();
        pieces.push(piece.trim_end());
    }
    pieces
}

/// Where `text` can be cut to at most `max` characters: never inside a
/// character, and not between one and what modifies it.
fn boundary(text: &str, max: usize) -> usize {
    let mut ends = text.char_indices().skip(max);
    let Some((hard, _)) = ends.next() else {
        return text.len();
    };
    let mut end = hard;
    for _ in 0..MODIFIERS_MAX {
        let before = text.get(..end).and_then(|text| text.chars().next_back());
        let after = text.get(end..).and_then(|text| text.chars().next());
        let Some(before) = before else { return hard };
        if !after.is_some_and(modifies) && before != JOINER {
            return end;
        }
        end -= before.len_utf8();
    }
    hard
}

const JOINER: char = '\u{200d}';

/// More behind one character is nothing that people read.
const MODIFIERS_MAX: usize = 32;

/// Combining marks, variation selectors, skin tones, joiners.
const fn modifies(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | JOINER | '\u{20e3}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}
