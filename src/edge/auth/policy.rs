//! The authentication policy, and the credential that a caller brings.

use crate::edge::query_value;
use crate::protocol::cut;
use crate::variables::{self, AuthName, Source, Variables};

use super::jwt::decode;
use super::{host, is_local};

/// The WebSocket subprotocol that the server speaks, and the only one that it echoes.
pub const SUBPROTOCOL: &str = "bobbin.v1";
const BEARER_PROTOCOL: &str = "bobbin.bearer.";
/// The refusal of a ticket. It is the same whatever is wrong with the ticket.
pub const NO_TICKET: &str = "the ticket was used, has expired or is for another session; ask for another";
/// The output length of HMAC with SHA-256 (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// A version 4 UUID in hexadecimal digits.
const TICKET_CHARS: usize = 32;

/// The variable `AUTH` and those that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Everybody is let in.
    Open,
    /// Callers need a JSON Web Token.
    Jwt {
        /// The shared secret for tokens of `HS256`.
        secret: Option<String>,
        /// The address of the issuer's public keys, for tokens of `RS256`, `ES256` and `EdDSA`.
        jwks_url: Option<String>,
        /// The `aud` that tokens must have; `None` accepts any.
        audience: Option<String>,
    },
}

/// The credential that a caller brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// From a program: `Authorization: Bearer`.
    Bearer(String),
    /// From a page: a subprotocol.
    Subprotocol(String),
    /// From a page or a program: `?ticket=` in the address. It can be redeemed once, for one socket.
    Ticket(String),
    /// No credential at all.
    None,
}

impl Policy {
    /// Reads the policy from the worker's variables.
    ///
    /// # Errors
    /// A sentence that says what to set.
    pub fn read(source: Source) -> Result<Self, String> {
        let read = Variables(source);
        let auth =
            read.choice(&variables::AUTH).map_err(|why| format!("this deployment is closed: {why}"))?;
        match auth {
            AuthName::None => Ok(Policy::Open),
            AuthName::Jwt => {
                let (secret, jwks_url) =
                    (read.secret(&variables::AUTH_JWT_SECRET), read.text(&variables::AUTH_JWKS_URL));
                if secret.is_none() && jwks_url.is_none() {
                    return Err(
                        "this deployment is closed: set AUTH_JWT_SECRET or AUTH_JWKS_URL to let in who has a token, or AUTH=none for everybody".into(),
                    );
                }
                if secret.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES_MIN) {
                    return Err(format!(
                        "this deployment is closed: AUTH_JWT_SECRET has at least {SECRET_BYTES_MIN} bytes, as `openssl rand -base64 32` prints them"
                    ));
                }
                if jwks_url.as_ref().is_some_and(|url| !is_private(url)) {
                    return Err(
                        "this deployment is closed: AUTH_JWKS_URL begins with https://, or with http:// for a server on the same machine".into(),
                    );
                }
                Ok(Policy::Jwt { secret, jwks_url, audience: read.text(&variables::AUTH_AUDIENCE) })
            }
        }
    }

    /// Returns the `aud` that tokens must have, if there is one.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        match self {
            Policy::Open => None,
            Policy::Jwt { audience, .. } => audience.as_deref(),
        }
    }
}

/// Returns whether nobody on the way can change a response from this address.
#[must_use]
pub fn is_private(url: &str) -> bool {
    let is_local =
        || cut(url, "://").is_some_and(|(scheme, _)| is_local(&format!("{scheme}://{}", host(url))));
    (url.starts_with("https://") && !host(url).is_empty()) || is_local()
}

/// Returns whether a key set may come from the target of a redirect: it must be equally safe from changes on
/// the way, and an issuer elsewhere must not redirect to a server on this machine.
#[must_use]
pub fn may_redirect(from: &str, to: &str) -> bool {
    is_private(to) && (to.starts_with("https://") || !from.starts_with("https://"))
}

/// Returns the credential of a request: in a subprotocol, in the `Authorization` header or as a ticket.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn credential(
    authorization: Option<&str>,
    subprotocols: Option<&str>,
    url: &str,
) -> Result<Credential, &'static str> {
    let offered = || subprotocols.unwrap_or_default().split(',').map(str::trim);
    if let Some(encoded) = offered().find_map(|protocol| protocol.strip_prefix(BEARER_PROTOCOL)) {
        if !offered().any(|protocol| protocol == SUBPROTOCOL) {
            return Err("a token in a subprotocol comes with the subprotocol bobbin.v1 beside it");
        }
        let token = decode(encoded).and_then(|token| String::from_utf8(token).ok());
        return token.map(Credential::Subprotocol).ok_or("the token in the subprotocol is not base64url");
    }
    if let Some(authorization) = authorization {
        let bearer =
            authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| Credential::Bearer(token.trim().to_owned()));
        return token.ok_or("the Authorization header is not of the form: Bearer, a space, the token");
    }
    ticket(url)
}

/// Returns the ticket in a request's address, if there is one.
///
/// # Errors
/// If it cannot be a ticket. So no object needs to be woken to find that out.
pub fn ticket(url: &str) -> Result<Credential, &'static str> {
    let is_hex = |ticket: &str| ticket.bytes().all(|letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f'));
    match query_value(url, "ticket") {
        None => Ok(Credential::None),
        Some(ticket) if ticket.is_empty() => Ok(Credential::None),
        Some(ticket) if ticket.len() == TICKET_CHARS && is_hex(&ticket) => Ok(Credential::Ticket(ticket)),
        Some(_) => Err(NO_TICKET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://bobbin.example/sessions/a/websocket";

    #[test]
    fn without_configuration_the_worker_is_closed() {
        assert!(Policy::read(&|_| None).is_err());
        assert!(Policy::read(&|name| (name.as_str() == "AUTH").then(|| "None".into())).is_err());
        assert_eq!(Policy::read(&|name| (name.as_str() == "AUTH").then(|| "none".into())), Ok(Policy::Open));
    }

    #[test]
    fn a_weak_secret_or_an_insecure_key_address_closes_the_deployment() {
        let read =
            |name: &str, value: &str| Policy::read(&|asked| (asked.as_str() == name).then(|| value.into()));
        assert!(read("AUTH_JWT_SECRET", &"é".repeat(16)).is_ok());
        let why = read("AUTH_JWT_SECRET", &"x".repeat(31)).unwrap_err();
        assert!(why.contains("AUTH_JWT_SECRET") && why.contains("32 bytes") && !why.contains("xxx"), "{why}");
        for url in [
            "https://issuer.example/keys",
            "http://localhost:9000/keys",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert!(read("AUTH_JWKS_URL", url).is_ok(), "{url}");
        }
        for url in [
            "http://issuer.example/keys",
            "http://localhost.evil.example/",
            "http://localhost@evil.example/",
            "HTTP://issuer.example",
            "ftp://localhost/",
            "https://",
            "issuer.example/keys",
        ] {
            let why = read("AUTH_JWKS_URL", url).unwrap_err();
            assert!(why.contains("AUTH_JWKS_URL"), "{url}: {why}");
        }
    }

    #[test]
    fn a_key_set_is_redirected_to_https_or_within_the_machine() {
        let (issuer, local) = ("https://issuer.example/keys", "http://127.0.0.1:9000/keys");
        for (from, to) in [(issuer, "https://keys.example/"), (local, "http://localhost/"), (local, issuer)] {
            assert!(may_redirect(from, to), "{from} {to}");
        }
        for (from, to) in
            [(issuer, local), (issuer, "http://issuer.example/"), (local, "http://issuer.example/")]
        {
            assert!(!may_redirect(from, to), "{from} {to}");
        }
    }

    #[test]
    fn a_page_sends_its_token_as_a_subprotocol() {
        let brought = credential(None, Some("bobbin.v1, bobbin.bearer.YS5iLmM"), URL);
        assert_eq!(brought, Ok(Credential::Subprotocol("a.b.c".into())));
        assert!(credential(None, Some("bobbin.bearer.YS5iLmM"), URL).is_err());
        assert!(credential(None, Some("bobbin.v1, bobbin.bearer.%%%"), URL).is_err());
        assert_eq!(credential(None, Some("bobbin.v1"), URL), Ok(Credential::None));
    }

    #[test]
    fn a_program_sends_its_token_as_bearer() {
        assert_eq!(credential(Some("bearer a.b.c"), None, URL), Ok(Credential::Bearer("a.b.c".into())));
        assert!(credential(Some("Basic abc"), None, URL).is_err());
    }

    #[test]
    fn a_ticket_is_in_the_address() {
        let ticket = "0123456789abcdef".repeat(2);
        let brought = |ticket: &str| credential(None, None, &format!("{URL}?ticket={ticket}"));
        assert_eq!(brought(&ticket), Ok(Credential::Ticket(ticket.clone())));
        assert_eq!(brought(""), Ok(Credential::None));
        for wrong in ["t1", &ticket.to_uppercase(), &format!("{ticket}0"), &"%61".repeat(33)] {
            assert_eq!(brought(wrong), Err(NO_TICKET), "{wrong}");
        }
    }
}
