//! Lets requests in or refuses them.

use web_sys::Request;

use crate::edge::http::{configured_origins, variable};
use crate::edge::routes::Refused;
use crate::edge::upgrade::is_upgrade;
use crate::platform::http::header;
use crate::platform::{Env, now};
use crate::protocol::{ErrorCode, Identity};

use super::jwt::{Claims, Token};
use super::keys::Unchecked;
use super::{Credential, Policy, credential, host, is_allowed, is_local, is_own_host, keys, ticket};

/// The header that tells the object who is calling.
pub const IDENTITY_HEADER: &str = "x-bobbin-identity";
/// The header that gives the object a ticket to redeem.
pub const TICKET_HEADER: &str = "x-bobbin-ticket";

/// The header that tells an object its side of a fork.
pub const FORK_HEADER: &str = "x-bobbin-fork";

/// A caller that was let in.
pub enum Caller {
    /// A caller whose credential was checked, or anyone if `AUTH=none`.
    Known {
        /// Its identity, and what it may do in the requested session.
        identity: Identity,
        /// Ids of the sessions that its token gives a role in; `*` means all.
        sessions: Vec<String>,
    },
    /// A caller with a ticket, which only the session's object can check.
    Ticket(String),
}

impl Caller {
    /// Returns whether it may do everything in every session.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Caller::Known { identity, .. } if identity.is_admin())
    }
}

/// Identifies the caller, or refuses it.
pub async fn admit(
    request: &Request,
    env: &Env,
    session_id: Option<&str>,
    takes_ticket: bool,
) -> Result<Caller, Refused> {
    let policy = Policy::read(&|name| variable(env, name)).map_err(|why| unauthenticated(&why))?;
    let token = match (brought(request, env, &policy)?, &policy) {
        (Credential::Ticket(ticket), _) if takes_ticket => return Ok(Caller::Ticket(ticket)),
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
    match keys::is_signed(&token, &policy).await {
        Ok(true) => {}
        Ok(false) => return Err(unauthenticated("the token's signature does not hold")),
        Err(Unchecked::WeakKey) => {
            return Err(unauthenticated("the token is signed with an RSA key of fewer than 2048 bits"));
        }
        Err(Unchecked::NoKeys(why)) => {
            return Err(Refused::retryable(503, ErrorCode::Unauthenticated, why));
        }
    }
    token.claims.check(now(), policy.audience()).map_err(unauthenticated)?;
    Ok(known(&token.claims, session_id))
}

/// Lets in a caller that the application has identified. The application may rely on a cookie, so pages of
/// other origins are refused.
pub fn admit_as(
    request: &Request,
    env: &Env,
    session_id: Option<&str>,
    takes_ticket: bool,
    claims: &str,
) -> Result<Caller, Refused> {
    let url = request.url();
    let brought = ticket(&url).map_err(unauthenticated)?;
    check_page(request, &url, configured_origins(env).as_deref())?;
    match brought {
        Credential::Ticket(ticket) if takes_ticket => return Ok(Caller::Ticket(ticket)),
        _ => {}
    }
    let claims = Claims::parse(claims).ok_or_else(|| unauthenticated("you are not let in here; log in"))?;
    claims.check_given(now()).map_err(unauthenticated)?;
    // Roles in other sessions must not limit what it may do with its own.
    let identity = Identity { may_create: true, ..claims.identity(session_id) };
    Ok(Caller::Known { identity, sessions: claims.sessions() })
}

/// Refuses pages of other origins if the browser sends the credential by itself. Pages of this machine are
/// let in to a worker on this machine.
fn check_page(request: &Request, url: &str, allowed: Option<&str>) -> Result<(), Refused> {
    let origin = header(request, "origin");
    let is_here = |origin: &str| is_local(origin) && is_own_host(host(url), None);
    match origin.as_deref() {
        None => Ok(()),
        Some(origin) if allowed.is_none_or(str::is_empty) && is_here(origin) => Ok(()),
        Some(_) if is_allowed(origin.as_deref(), url, allowed) => Ok(()),
        Some(_) => Err(foreign()),
    }
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
    let allowed = configured_origins(env);
    if *policy == Policy::Open {
        check_host(request, &url, allowed.as_deref())?;
    }
    // Without credentials, any page in a browser could act for its user.
    if is_upgrade(request) || *policy == Policy::Open {
        let origin = header(request, "origin");
        check_origin(origin.as_deref(), &url, allowed.as_deref(), policy, &brought)?;
    }
    Ok(brought)
}

fn known(claims: &Claims, session_id: Option<&str>) -> Caller {
    Caller::Known { identity: claims.identity(session_id), sessions: claims.sessions() }
}

/// Refuses requests under a host name that is not the worker's own.
fn check_host(request: &Request, url: &str, allowed: Option<&str>) -> Result<(), Refused> {
    let named = header(request, "host");
    if is_own_host(host(url), allowed) && named.is_none_or(|named| is_own_host(&named, allowed)) {
        return Ok(());
    }
    let message = "with AUTH=none this worker is called by localhost, 127.0.0.1 or [::1], or by the host of an origin in \
                   ALLOWED_ORIGINS; set that, or AUTH=jwt";
    Err(Refused::fatal(403, ErrorCode::Forbidden, message))
}

/// Refuses pages of other origins. A browser names the origin of its page; a caller that names none is not a
/// page, and has a bearer token.
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
    // Without any credential, the refusal says that one is missing.
    if *brought == Credential::None && origin.is_none() {
        return Ok(());
    }
    Err(foreign())
}

fn foreign() -> Refused {
    let message = "pages of this origin may not connect; the worker's ALLOWED_ORIGINS names those that may";
    Refused::fatal(403, ErrorCode::Forbidden, message)
}

fn unauthenticated(message: &str) -> Refused {
    Refused::fatal(401, ErrorCode::Unauthenticated, message)
}
