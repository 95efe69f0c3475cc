//! Where `top` learns how things stand: the gateway's stream, or its status
//! asked once a second where it has no stream. A gateway that is gone is asked
//! again until it is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::model::Input;
use crate::cli::client::{Admin, Followed};

const EVERY: Duration = Duration::from_secs(1);
/// The stream says something every ten seconds; a status takes no time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Until nobody listens.
pub(super) async fn run(admin: Arc<Admin>, to: Sender<Input>) {
    while !to.is_closed() {
        let followed = admin
            .follow("/api/v1/live", PATIENCE, |status| {
                to.try_send(Input::Status { status, live: true }).is_ok() || !to.is_closed()
            })
            .await;
        match followed {
            // The gateway drains, or the line broke: it may be back at once.
            Ok(Followed::Ended) => sleep(EVERY).await,
            Ok(Followed::Absent) => poll(&admin, &to).await,
            Err(error) => {
                let _gone = to.send(Input::Lost(format!("{error:#}"))).await;
                sleep(EVERY).await;
            }
        }
    }
}

/// Once a second, until it does not answer.
async fn poll(admin: &Admin, to: &Sender<Input>) {
    loop {
        let asked = timeout(PATIENCE, admin.get("/api/v1/status")).await;
        let input = match asked {
            Ok(Ok(status)) => Input::Status {
                status,
                live: false,
            },
            Ok(Err(error)) => Input::Lost(format!("{error:#}")),
            Err(_elapsed) => Input::Lost(format!("no answer in {} s", PATIENCE.as_secs())),
        };
        let lost = matches!(input, Input::Lost(_));
        if to.send(input).await.is_err() {
            return;
        }
        sleep(EVERY).await;
        if lost {
            return;
        }
    }
}
