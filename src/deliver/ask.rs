//! A question of an operator to a destination: one request, no event, no log;
//! at the account's rate and through the same guard as every copy.

use std::pin::pin;

use tokio::time::Instant;
use tower::ServiceExt;

use super::answer::Reading;
use super::attempt::{Deadline, Silence, timer};
use super::{Accounts, Destination, client, request};
use crate::clock::Clock;
use crate::transform::{Outgoing, Unsendable};

/// An answer to a question.
#[derive(Clone, Debug)]
pub struct Asked {
    pub status: u16,
    pub body: Vec<u8>,
    /// The body as an operator may see it: short, and without our secrets.
    pub shown: String,
}

/// Asks once, within the destination's own `timeout`. An error is for the
/// operator.
pub async fn ask(
    destination: &Destination,
    accounts: &Accounts,
    outgoing: &Outgoing,
    clock: &Clock,
) -> Result<Asked, String> {
    let request = request::question(outgoing).map_err(|unsendable| match unsendable {
        Unsendable::Dead { detail, .. } | Unsendable::Wait { detail, .. } => detail,
        Unsendable::Skip { rule } => rule.to_owned(),
    })?;
    let reading = Reading::of(destination, outgoing.redact.clone(), &request, clock);
    accounts.desk(destination).draw().await;
    let timer = pin!(timer(Instant::now() + destination.timeout));
    let mut deadline = Deadline::new(timer);
    let head = client::client(destination).oneshot(request);
    match deadline.within(head).await {
        Some(Ok(head)) => {
            let (status, body, _) = reading.hear(head, &mut deadline).await;
            Ok(Asked {
                status,
                shown: reading.shown(&body),
                body,
            })
        }
        Some(Err(Silence { outcome, detail })) => Err(format!(
            "{}: {}",
            outcome.label(),
            reading.shown(detail.as_bytes())
        )),
        None => Err(format!("no answer within {:?}", destination.timeout)),
    }
}
