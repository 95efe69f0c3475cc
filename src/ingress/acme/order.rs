//! One certificate from an ACME server (RFC 8555): an account, an order, a
//! proof for each name, a key that nobody has seen, a chain.

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::challenge::{Challenges, Shown};
use super::client::Client;
use super::{Acme, Challenge};

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    contact: Option<String>,
    credentials: AccountCredentials,
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) detail: String,
    /// The server knows no such account (any more).
    pub(super) account_is_gone: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let account_is_gone =
            matches!(&error, Error::Api(problem) if is(problem, "accountDoesNotExist"));
        // A poll that ends because the server said "much later" is a failure
        // like another: the back-off is longer than most such words.
        Self {
            detail: shown(&error.to_string()),
            account_is_gone,
        }
    }
}

impl From<String> for Failure {
    fn from(detail: String) -> Self {
        Self {
            detail: shown(&detail),
            account_is_gone: false,
        }
    }
}

/// The account of the file, or a new one, whose file is returned to be kept.
pub(super) async fn account(
    acme: &Acme,
    client: Client,
    kept: Option<&[u8]>,
) -> Result<(Account, Option<Zeroizing<Vec<u8>>>), Failure> {
    let contact = acme
        .contact
        .as_ref()
        .map(|contact| format!("mailto:{contact}"));
    let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
    let builder = Account::builder_with_http(Box::new(client));
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(bytes).ok());
    let (account, credentials) = match kept {
        Some(kept) => {
            // The crate consumes them; they are written again if the contact changes.
            let copy = copied(&kept.credentials)?;
            let account = builder.from_credentials(kept.credentials).await?;
            if kept.contact == acme.contact {
                return Ok((account, None));
            }
            account.update_contacts(&contacts).await?;
            (account, copy)
        }
        None => {
            let asked = NewAccount {
                contact: &contacts,
                // Whoever configures a server agrees to its terms; the README says so.
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let eab = acme.eab.as_ref();
            let eab =
                eab.map(|eab| ExternalAccountKey::new(eab.key_id.clone(), eab.hmac_key.expose()));
            builder
                .create(&asked, acme.directory.clone(), eab.as_ref())
                .await?
        }
    };
    let kept = Kept {
        contact: acme.contact.clone(),
        credentials,
    };
    let bytes = serde_json::to_vec(&kept).map_err(Error::from)?;
    Ok((account, Some(Zeroizing::new(bytes))))
}

/// Key and chain, PEM, in this order.
pub(super) async fn certificate(
    acme: &Acme,
    account: &Account,
    challenges: &Challenges,
) -> Result<Zeroizing<String>, Failure> {
    let names: Vec<Identifier> = acme.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let shown = prove(acme, &mut order, challenges).await?;
    let ready = order.poll_ready(&PATIENCE).await;
    drop(shown);
    match ready {
        Ok(OrderStatus::Ready) => {}
        Ok(_invalid) => return Err(refused(&mut order, None).await),
        Err(Error::Api(problem)) => return Err(refused(&mut order, Some(problem)).await),
        Err(error) => return Err(error.into()),
    }
    let mut pem = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&PATIENCE).await?;
    pem.push_str(&chain);
    Ok(pem)
}

/// Shows a proof for each name that the server has none for yet.
async fn prove(
    acme: &Acme,
    order: &mut Order,
    challenges: &Challenges,
) -> Result<Vec<Shown>, Failure> {
    let kind = match acme.challenge {
        Challenge::TlsAlpn => ChallengeType::TlsAlpn01,
        Challenge::Http { .. } => ChallengeType::Http01,
    };
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(format!("the authorization of {name} is {other:?}").into()),
        }
        if !acme
            .domains
            .iter()
            .any(|domain| domain.eq_ignore_ascii_case(&name))
        {
            return Err(
                format!("the server wants a proof for {name}, which was not ordered").into(),
            );
        }
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(format!(
                "the server does not offer {} for {name}",
                acme.challenge.label()
            )
            .into());
        };
        let proof = challenge.key_authorization();
        shown.push(match acme.challenge {
            Challenge::TlsAlpn => challenges.show_certificate(&name, proof.digest().as_ref())?,
            Challenge::Http { .. } => challenges.show_text(&challenge.token, proof.as_str()),
        });
        challenge.set_ready().await?;
    }
    Ok(shown)
}

/// Why an order became invalid: what the server saw when it looked at us.
async fn refused(order: &mut Order, problem: Option<Problem>) -> Failure {
    let mut reasons: Vec<String> = problem.iter().map(ToString::to_string).collect();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let errors = state
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|error| format!("{name}: {error}")));
    }
    if reasons.is_empty() {
        reasons.push("the server made the order invalid and does not say why".to_owned());
    }
    reasons.join("; ").into()
}

/// A copy by way of the file's form; the type has no other.
fn copied(credentials: &AccountCredentials) -> Result<AccountCredentials, Failure> {
    let bytes = serde_json::to_vec(credentials).map(Zeroizing::new);
    let copy = bytes.and_then(|bytes| serde_json::from_slice(&bytes));
    copy.map_err(|error| Error::from(error).into())
}

fn is(problem: &Problem, kind: &str) -> bool {
    let of = problem
        .r#type
        .as_deref()
        .and_then(|text| text.rsplit(':').next());
    of == Some(kind)
}

/// A server's words on one line of bounded length.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(DETAIL_MAX).collect()
}

/// Characters of a server's reason that are kept.
const DETAIL_MAX: usize = 500;

/// For the server to look, and for it to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));
