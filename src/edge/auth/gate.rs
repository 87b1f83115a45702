//! Lets in or refuses.

use web_sys::Request;

use crate::edge::http::{configured_origins, is_upgrade, variable};
use crate::edge::routes::Refused;
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

/// The header that says on which side of a fork an object is.
pub const FORK_HEADER: &str = "x-bobbin-fork";

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

impl Caller {
    /// Whether it may do everything in every session.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Caller::Known { identity, .. } if identity.is_admin())
    }
}

/// Finds out who is calling, or why the caller is refused.
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

/// Lets in whom the application says it is. What it goes by may be a cookie, so no page of another origin may ask.
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
    // What it may do elsewhere takes nothing of what is its own.
    let identity = Identity { may_create: true, ..claims.identity(session_id) };
    Ok(Caller::Known { identity, sessions: claims.sessions() })
}

/// Refuses pages of other origins, where a browser brings what the caller is known by. Pages of this machine are let in
/// to a worker on this machine.
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
    // Where nobody brings a credential, any page that a browser shows could act for who looks at it.
    if is_upgrade(request) || *policy == Policy::Open {
        let origin = header(request, "origin");
        check_origin(origin.as_deref(), &url, allowed.as_deref(), policy, &brought)?;
    }
    Ok(brought)
}

fn known(claims: &Claims, session_id: Option<&str>) -> Caller {
    Caller::Known { identity: claims.identity(session_id), sessions: claims.sessions() }
}

/// Refuses to be called by a name that is not the worker's own.
fn check_host(request: &Request, url: &str, allowed: Option<&str>) -> Result<(), Refused> {
    let named = header(request, "host");
    if is_own_host(host(url), allowed) && named.is_none_or(|named| is_own_host(&named, allowed)) {
        return Ok(());
    }
    let message = "with AUTH=none this worker is called by localhost, 127.0.0.1 or [::1], or by the host of an origin in \
                   ALLOWED_ORIGINS; set that, or AUTH=jwt";
    Err(Refused::fatal(403, ErrorCode::Forbidden, message))
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
    Err(foreign())
}

fn foreign() -> Refused {
    let message = "pages of this origin may not connect; the worker's ALLOWED_ORIGINS names those that may";
    Refused::fatal(403, ErrorCode::Forbidden, message)
}

fn unauthenticated(message: &str) -> Refused {
    Refused::fatal(401, ErrorCode::Unauthenticated, message)
}
