//! Lets in or refuses.

use web_sys::Request;

use crate::edge::http::{configured_origins, is_upgrade, variable};
use crate::edge::routes::Refused;
use crate::platform::http::header;
use crate::platform::{Env, now};
use crate::protocol::{ErrorCode, Identity};

use super::jwt::{Claims, Token};
use super::{Credential, Policy, credential, is_allowed, is_local, keys, ticket};

/// The header that tells the object who is calling.
pub const IDENTITY_HEADER: &str = "x-bobbin-identity";
/// The header that gives the object a ticket to redeem.
pub const TICKET_HEADER: &str = "x-bobbin-ticket";

/// Who was let in.
pub enum Caller {
    /// A caller whose credential has been checked, or anyone where `AUTH=none`.
    Known {
        /// Who it is, and what it may do in the session that was asked for.
        identity: Identity,
        /// Ids of the sessions that its token gives a role in; `*` stands for all.
        sessions: Vec<String>,
    },
    /// A caller with a ticket, which only the session's object can check.
    Ticket(String),
}

/// Finds out who is calling, or why the caller is refused. `connects` says whether a socket is to be opened: only
/// that takes a ticket.
pub async fn admit(
    request: &Request,
    env: &Env,
    session_id: Option<&str>,
    connects: bool,
) -> Result<Caller, Refused> {
    let policy = Policy::read(&|name| variable(env, name)).map_err(|why| unauthenticated(&why))?;
    let token = match (brought(request, env, &policy)?, &policy) {
        (Credential::Ticket(ticket), _) if connects => return Ok(Caller::Ticket(ticket)),
        (_, Policy::Open) => {
            return Ok(Caller::Known { identity: Identity::anyone(), sessions: vec!["*".into()] });
        }
        (Credential::Bearer(token) | Credential::Subprotocol(token), _) => token,
        (Credential::Ticket(_) | Credential::None, _) => {
            return Err(unauthenticated(
                "no credential: bring Authorization: Bearer, the subprotocols bobbin.v1 and bobbin.bearer.<base64url token>, or ?ticket=",
            ));
        }
    };
    let token = Token::parse(&token).map_err(unauthenticated)?;
    if !keys::is_signed(&token, &policy).await.map_err(unavailable)? {
        return Err(unauthenticated("the token's signature does not hold"));
    }
    token.claims.check(now(), policy.audience()).map_err(unauthenticated)?;
    Ok(known(&token.claims, session_id))
}

fn brought(request: &Request, env: &Env, policy: &Policy) -> Result<Credential, Refused> {
    let url = request.url();
    let brought = match policy {
        Policy::Open => ticket(&url),
        Policy::Jwt { .. } => credential(
            header(request, "authorization").as_deref(),
            header(request, "sec-websocket-protocol").as_deref(),
            &url,
        ),
    };
    let brought = brought.map_err(unauthenticated)?;
    // Where nobody brings a credential, any page that a browser shows could act for who looks at it.
    if is_upgrade(request) || *policy == Policy::Open {
        let (origin, allowed) = (header(request, "origin"), configured_origins(env));
        check_origin(origin.as_deref(), &url, allowed.as_deref(), policy, &brought)?;
    }
    Ok(brought)
}

fn known(claims: &Claims, session_id: Option<&str>) -> Caller {
    Caller::Known { identity: claims.identity(session_id), sessions: claims.sessions() }
}

/// Refuses pages of other origins. A browser says which origin a page is from; a caller that says nothing is no
/// page, and brings a bearer.
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
    Err(Refused::fatal(403, ErrorCode::Forbidden, message))
}

fn unauthenticated(message: &str) -> Refused {
    Refused::fatal(401, ErrorCode::Unauthenticated, message)
}

fn unavailable(message: &str) -> Refused {
    Refused::retryable(503, ErrorCode::Unauthenticated, message)
}
