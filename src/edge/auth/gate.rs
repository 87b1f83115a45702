//! Lets in or refuses.

use worker::{Env, Headers, Request};

use crate::edge::http::{is_upgrade, url, variable};
use crate::edge::routes::Refused;
use crate::platform::now;
use crate::protocol::{ErrorBody, ErrorCode, Identity};

use super::jwt::{Claims, Token};
use super::{Credential, Policy, credential, is_allowed, is_local, keys, ticket};

/// Tells the object who is calling.
pub const IDENTITY_HEADER: &str = "x-bobbin-identity";
/// Gives the object a ticket to redeem.
pub const TICKET_HEADER: &str = "x-bobbin-ticket";

/// Who was let in.
pub enum Caller {
    Known {
        identity: Identity,
        sessions: Vec<String>,
    },
    /// The session's object finds out.
    Ticket(String),
}

/// Takes off what only this worker may say.
pub fn strip(headers: &Headers) -> worker::Result<()> {
    headers.delete(IDENTITY_HEADER)?;
    headers.delete(TICKET_HEADER)
}

/// `connects` is whether it is about a socket of a session: what a ticket is for.
pub async fn admit(
    request: &Request,
    env: &Env,
    session_id: Option<&str>,
    connects: bool,
) -> Result<Caller, Refused> {
    let variable = |name: &str| variable(env, name);
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let policy = Policy::read(variable).map_err(unauthenticated)?;
    let url = url(request);
    let brought = match policy {
        Policy::Open => ticket(&url),
        Policy::Jwt { .. } => {
            credential(header("authorization").as_deref(), header("sec-websocket-protocol").as_deref(), &url)
        }
    };
    let brought = brought.map_err(unauthenticated)?;
    // Where nobody brings a credential, any page that a browser shows could act for who looks at it.
    if is_upgrade(request) || policy == Policy::Open {
        check_origin(
            header("origin").as_deref(),
            &url,
            variable("ALLOWED_ORIGINS").as_deref(),
            &policy,
            &brought,
        )?;
    }
    match (policy, brought) {
        (_, Credential::Ticket(ticket)) if connects => Ok(Caller::Ticket(ticket)),
        (Policy::Open, _) => Ok(Caller::Known { identity: Identity::anyone(), sessions: vec!["*".into()] }),
        (
            Policy::Jwt { secret, jwks_url, audience },
            Credential::Bearer(token) | Credential::Subprotocol(token),
        ) => {
            let token = Token::parse(&token).map_err(unauthenticated)?;
            let is_signed = match (&secret, &jwks_url) {
                (Some(secret), _) if keys::is_signed_with(secret, &token).await => true,
                (_, Some(url)) => keys::is_signed_by_set(url, &token).await.map_err(unavailable)?,
                _ => false,
            };
            if !is_signed {
                return Err(unauthenticated("the token's signature does not hold"));
            }
            token.claims.check(now(), audience.as_deref()).map_err(unauthenticated)?;
            Ok(known(&token.claims, session_id))
        }
        (Policy::Jwt { .. }, Credential::Ticket(_) | Credential::None) => Err(unauthenticated(
            "no credential: bring Authorization: Bearer, the subprotocols bobbin.v1 and bobbin.bearer.<base64url token>, or ?ticket=",
        )),
    }
}

fn known(claims: &Claims, session_id: Option<&str>) -> Caller {
    Caller::Known { identity: claims.identity(session_id), sessions: claims.sessions() }
}

/// A page says where it is from. What says nothing is no page, and brings a bearer.
fn check_origin(
    origin: Option<&str>,
    url: &str,
    allowed: Option<&str>,
    policy: &Policy,
    brought: &Credential,
) -> Result<(), Refused> {
    let names_none = allowed.is_none_or(str::is_empty);
    let passes = match (origin, policy) {
        (None, Policy::Open) => true,
        (None, Policy::Jwt { .. }) => matches!(brought, Credential::Bearer(_) | Credential::Subprotocol(_)),
        (Some(local), Policy::Open) if names_none && is_local(local) => true,
        (Some(_), _) => is_allowed(origin, url, allowed),
    };
    if passes {
        return Ok(());
    }
    // Without any credential, what is missing is the credential.
    if *brought == Credential::None && origin.is_none() {
        return Ok(());
    }
    let message = "pages of this origin may not connect; the worker's ALLOWED_ORIGINS names those that may";
    Err(Refused { status: 403, error: ErrorBody::fatal(ErrorCode::Forbidden, message), allow: None })
}

fn unauthenticated(message: &str) -> Refused {
    Refused { status: 401, error: ErrorBody::fatal(ErrorCode::Unauthenticated, message), allow: None }
}

fn unavailable(message: &str) -> Refused {
    Refused { status: 503, error: ErrorBody::retryable(ErrorCode::Unauthenticated, message), allow: None }
}
