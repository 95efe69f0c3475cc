//! Dimension's and Dashbot's tracking endpoints. What is right is the
//! business of the checker beside the writer, which shares nothing with it.

use http::Method;

use crate::vendor::dimension;

use super::asked::{Asked, No, Said, Wrong};

/// `host`: whose limits hold.
pub(super) fn judge(host: dimension::Host, api_key: &str, asked: &Asked<'_>) -> Said {
    let step = match asked.path() {
        "/track" => "track",
        "/trackhistorical" => "track_historical",
        _ => "-",
    };
    let request = dimension::Request {
        path: asked.path(),
        query: asked.uri.query().unwrap_or_default(),
        headers: asked.headers,
        body: asked.body,
    };
    let refused = if asked.method == Method::POST {
        let checked = dimension::check_request(host, Some(api_key), &request, asked.now);
        checked.err().map(|refused| (refused.status, refused.body))
    } else {
        Some((405, No::endpoint(asked).reason))
    };
    let (status, text) = refused
        .clone()
        .unwrap_or_else(|| (200, r#"{"ok":true}"#.to_owned()));
    Said {
        step,
        status,
        text,
        content_type: if refused.is_some() {
            "text/plain"
        } else {
            "application/json"
        },
        taken: refused.is_none(),
        no: refused.map(|(_, reason)| (Wrong::Request, reason)),
    }
}

/// A plain HTTP destination takes all.
pub(super) fn anything() -> Said {
    Said {
        step: "any",
        status: 200,
        text: r#"{"ok":true}"#.to_owned(),
        content_type: "application/json",
        taken: true,
        no: None,
    }
}
