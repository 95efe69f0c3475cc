//! Chat-platform-like webhook bodies of about 1 KB, pre-rendered per event type so that one
//! request costs a memcpy and a few fixed-width patches.

use crate::token::{self, Token};

const TOKEN_PLACE: &str = "@TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT";
const ROOM_PLACE: &str = "@RRRRRRRR";

fn place() -> String {
    debug_assert_eq!(TOKEN_PLACE.len(), token::LEN);
    TOKEN_PLACE.to_string()
}

/// `size` is the wanted body length; the message text is padded to reach it.
pub fn body_json(event_type: &str, size: usize) -> String {
    let make = |text: &str| {
        format!(
            concat!(
                r#"{{"type":"{ty}","payload":{{"from":{{"id":24680135,"id_str":"24680135","#,
                r#""email":"customer-6281234567890@example.com","name":"Budi Santoso","#,
                r#""avatar_url":"https://cdn.example.com/avatars/6281234567890.png","type":"user"}},"#,
                r#""room":{{"id":"{room}","id_str":"{room}","name":"Order help 8821","type":"group","topic_id":"{room}","is_public_channel":false,"#,
                r#""options":"{{\"channel\":\"wa\",\"priority\":2}}","#,
                r#""participants":[{{"id":24680135,"email":"customer-6281234567890@example.com","username":"Budi Santoso"}},"#,
                r#"{{"id":1357902,"email":"agent-17@example.com","username":"Agent 17"}}]}},"#,
                r#""message":{{"unique_temp_id":"{tok}","type":"text","payload":{{}},"#,
                r#""timestamp":"2026-11-20T10:11:12Z","unix_timestamp":1795169472,"comment_before_id":884422,"text":"{text}"}}}}}}"#
            ),
            ty = event_type,
            room = ROOM_PLACE,
            tok = place(),
            text = text
        )
    };
    let base = make("").len();
    let filler = "Hi, my parcel has not arrived yet and the tracking page still says it is with the courier. ";
    let mut text = String::new();
    while base + text.len() < size {
        text.push_str(filler);
    }
    text.truncate(size.saturating_sub(base));
    make(text.trim_end())
}

pub struct Template {
    pub bytes: Vec<u8>,
    token_at: Vec<usize>,
    room_at: Vec<usize>,
    pub event_type: String,
    pub body_len: usize,
}

fn find_all(h: &[u8], n: &str) -> Vec<usize> {
    memchr::memmem::find_iter(h, n.as_bytes()).collect()
}

impl Template {
    /// `headers` may hold `{id}`, `{type}` and `{room}`; `wrap` may hold `{type}` and `{body}`.
    pub fn new(
        event_type: &str,
        size: usize,
        host: &str,
        path: &str,
        headers: &[&str],
        wrap: Option<&str>,
    ) -> Self {
        let inner = body_json(event_type, size);
        let body = match wrap {
            None => inner,
            Some(w) => w
                .replace("{type}", event_type)
                .replace("{id}", &place())
                .replace("{body}", &inner),
        };
        let fill = |s: &str| {
            s.replace("{type}", event_type)
                .replace("{id}", &place())
                .replace("{room}", ROOM_PLACE)
        };
        let mut req = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            fill(path),
            body.len()
        );
        for h in headers {
            req.push_str(&fill(h));
            req.push_str("\r\n");
        }
        req.push_str("\r\n");
        req.push_str(&body);
        let bytes = req.into_bytes();
        Template {
            token_at: find_all(&bytes, TOKEN_PLACE),
            room_at: find_all(&bytes, ROOM_PLACE),
            body_len: body.len(),
            event_type: event_type.to_string(),
            bytes,
        }
    }

    pub fn render(&self, out: &mut Vec<u8>, t: &Token) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for &i in &self.token_at {
            t.write(&mut out[i..i + token::LEN]);
        }
        let mut room = [b'0'; 9];
        let mut k = t.key as u64 + 100_000_000;
        for b in room.iter_mut().rev() {
            *b = b'0' + (k % 10) as u8;
            k /= 10;
        }
        for &i in &self.room_at {
            out[i..i + 9].copy_from_slice(&room);
        }
    }
}

/// `a:60,b:40` to (name, weight).
pub fn parse_mix(s: &str) -> Vec<(String, u32)> {
    s.split(',')
        .filter(|p| !p.is_empty())
        .map(|p| match p.rsplit_once(':') {
            Some((n, w)) => (n.to_string(), w.parse().unwrap_or(1)),
            None => (p.to_string(), 1),
        })
        .collect()
}

pub const DEFAULT_MIX: &str =
    "post_comment_mobile:55,post_comment_rest:25,mark_resolved:10,assign_agent:10";

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn renders() {
        let b = body_json("x", 1024);
        assert!(b.len() >= 1000 && b.len() <= 1024, "{}", b.len());
        let t = Template::new(
            "x",
            1024,
            "h",
            "/p",
            &["X-Id: {id}"],
            Some("{\"eventType\":\"{type}\",\"payload\":{body}}"),
        );
        assert_eq!(t.token_at.len(), 2);
        assert_eq!(t.room_at.len(), 3);
        let mut out = vec![];
        let tok = Token {
            run: 1,
            seq: 2,
            key: 3,
            kseq: 4,
            t: 5,
        };
        t.render(&mut out, &tok);
        let f = memchr::memmem::Finder::new(token::PREFIX);
        assert_eq!(
            token::find_all(&f, &out).collect::<Vec<_>>(),
            vec![tok, tok]
        );
        let s = String::from_utf8(out).unwrap();
        assert!(s.contains("\"id\":\"100000003\""));
        let body = s.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body.len(), t.body_len);
    }
}
