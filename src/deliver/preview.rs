//! What would be sent, for `explain`; nothing is.

use super::request::{Attempted, shown_headers, write};
use super::{Destination, talk};
use crate::transform::{Outgoing, Unsendable};
use crate::vendor::Call;
use crate::vendor::dialogue::{Known, Step};
use crate::verify::sign_standard;

/// The exact request that the first attempt at this copy would make at `now`:
/// the method, the URL, the body, and in `headers` all headers of the wire in
/// their order, `host` and `content-length` included. Secret values, and the
/// signature, are marked sensitive. Of a dialogue it is the first request,
/// given what is `known`; `None`: nothing is left to do.
pub fn preview(
    destination: &Destination,
    call: &Call<'_>,
    known: &Known,
) -> Result<Option<Outgoing>, Unsendable> {
    let mut outgoing = match destination.writer.dialogue() {
        None => write(destination, call)?,
        Some(dialogue) => match talk::next(dialogue, call, known)? {
            Step::Ask(ask) => ask.request,
            Step::Done => return Ok(None),
        },
    };
    let attempted = Attempted {
        event: call.event,
        destination: &destination.name,
        number: 1,
        now: call.now,
    };
    outgoing.headers = shown_headers(&outgoing, attempted, sign_standard)?;
    Ok(Some(outgoing))
}
