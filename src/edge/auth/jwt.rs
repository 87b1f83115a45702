//! JSON Web Tokens (RFC 7519): parses them and checks their claims. The runtime checks signatures.

use crate::protocol::json::Fields;
use crate::protocol::limits::{SUBJECT_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::protocol::{Access, CollectVec, Identity, Json, Millis, Read};

/// How far clocks may differ.
const LEEWAY_SECONDS: u64 = 30;

/// The accepted algorithms (RFC 7518, RFC 8037). `none` is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: signed and checked with the same secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with the curve P-256 and SHA-256.
    Es256,
    /// `EdDSA` with the curve Ed25519.
    EdDsa,
}

/// A token whose signature has yet to be checked.
#[derive(Debug)]
pub struct Token {
    /// The algorithm that the token's header names.
    pub algorithm: Algorithm,
    /// The key that the token's header names (`kid`).
    pub key_id: Option<String>,
    /// The signed text: the first two parts as they came.
    pub signed: String,
    /// The token's third part, decoded.
    pub signature: Vec<u8>,
    /// The token's second part, decoded.
    pub claims: Claims,
}

/// The claims about a token's bearer.
#[derive(Debug)]
pub struct Claims(Fields);

impl Algorithm {
    /// Returns the algorithm that a header's `alg` names; `None` if it is not accepted.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Algorithm::Hs256),
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }

    /// Returns whether a JSON Web Key (RFC 7517) may check signatures of this algorithm.
    #[must_use]
    pub fn fits(self, key: &Fields) -> bool {
        let says = |name: &str, value: &str| key.get(name).and_then(Json::as_str) == Some(value);
        let is_or_lacks = |name: &str, value: &str| !key.contains_key(name) || says(name, value);
        let is_for_it = match self {
            Algorithm::Hs256 => false,
            Algorithm::Rs256 => says("kty", "RSA") && is_or_lacks("alg", "RS256"),
            Algorithm::Es256 => says("kty", "EC") && says("crv", "P-256") && is_or_lacks("alg", "ES256"),
            // RFC 9864 names the curve, while RFC 8037 named the family.
            Algorithm::EdDsa => {
                says("kty", "OKP")
                    && says("crv", "Ed25519")
                    && (is_or_lacks("alg", "EdDSA") || says("alg", "Ed25519"))
            }
        };
        let verifies =
            |operations: &[Json]| operations.iter().any(|operation| operation.as_str() == Some("verify"));
        is_for_it
            && is_or_lacks("use", "sig")
            && key.get("key_ops").is_none_or(|operations| operations.as_array().is_some_and(verifies))
    }
}

impl Token {
    /// Parses a token.
    ///
    /// # Errors
    /// A sentence that reveals nothing of the token's content.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the credential is not a JSON Web Token");
        };
        let signed = format!("{header}.{claims}");
        let header = object(header).ok_or("the token's header is not JSON")?;
        if header.contains_key("crit") {
            return Err("the token asks for extensions that are not known");
        }
        let algorithm = header.get("alg").and_then(Json::as_str).and_then(Algorithm::parse);
        Ok(Token {
            algorithm: algorithm
                .ok_or("the token's algorithm is not one of HS256, RS256, ES256 and EdDSA")?,
            key_id: header.get("kid").and_then(Json::as_str).map(str::to_owned),
            signed,
            signature: decode(signature).ok_or("the token's signature is not base64url")?,
            claims: Claims(object(claims).ok_or("the token's claims are not JSON")?),
        })
    }
}

impl Claims {
    /// Parses the claims of a caller that was checked elsewhere; `None` if they name no subject.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        let Json::Object(fields) = Json::parse(json)? else { return None };
        Some(Claims(fields)).filter(|claims| claims.subject().is_some())
    }

    /// Checks the claims that an application makes about a caller, which need not expire.
    ///
    /// # Errors
    /// A sentence that names the claim at fault.
    pub fn check_given(&self, now: Millis) -> Result<(), &'static str> {
        let is_over = |at: u64| at.saturating_add(LEEWAY_SECONDS) <= now / 1_000;
        if self.0.contains_key("exp") && self.seconds("exp").is_none_or(is_over) {
            return Err("you are not logged in any more; log in again");
        }
        match self.subject() {
            Some(subject) if subject.len() <= SUBJECT_BYTES_MAX => Ok(()),
            _ => Err("whom the application let in has no name, or one that is too long"),
        }
    }

    /// Checks the token's times, audience and subject.
    ///
    /// # Errors
    /// A sentence that names the claim at fault.
    pub fn check(&self, now: Millis, audience: Option<&str>) -> Result<(), &'static str> {
        let now_seconds = now / 1_000;
        let expires = self.seconds("exp").ok_or("the token has no expiry: give it exp")?;
        if expires.saturating_add(LEEWAY_SECONDS) <= now_seconds {
            return Err("the token has expired");
        }
        if self.0.contains_key("nbf") {
            let begins = self.seconds("nbf").ok_or("the token's nbf is not a time")?;
            if begins > now_seconds.saturating_add(LEEWAY_SECONDS) {
                return Err("the token is not valid yet");
            }
        }
        if audience.is_some_and(|audience| !self.names_audience(audience)) {
            return Err("the token is for another audience");
        }
        match self.subject() {
            None => Err("the token has no subject: give it sub"),
            // The subject is stored in each of its messages and beside each of its sockets.
            Some(subject) if subject.len() > SUBJECT_BYTES_MAX => Err("the token's sub is too long"),
            Some(_) => Ok(()),
        }
    }

    /// Returns the bearer's identity in a session.
    #[must_use]
    pub fn identity(&self, session_id: Option<&str>) -> Identity {
        let named = self.sessions();
        let is_named = |id: &str| named.iter().any(|named| named == "*" || named == id);
        let granted = session_id.filter(|id| is_named(id)).and_then(|_| self.role());
        let granted = granted.max(self.is_admin().then_some(Access::Admin));
        Identity {
            subject: self.subject().map(str::to_owned),
            granted,
            // A claim that is not understood grants nothing, and must not grant more than a valid one.
            may_create: !self.0.contains_key("bobbin"),
            expires_at: self.seconds("exp").map(|at| at.saturating_add(LEEWAY_SECONDS).saturating_mul(1_000)),
            trace: None,
        }
    }

    /// Returns the sessions that the token gives a role in, `*` for all.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        if self.is_admin() {
            return vec!["*".into()];
        }
        if self.role().is_none() {
            return Vec::new();
        }
        let named = self.0.get("bobbin").and_then(|bobbin| bobbin.get("sessions")).and_then(Json::as_array);
        named.unwrap_or_default().iter().filter_map(Json::as_str).map(str::to_owned).collect_vec()
    }

    /// Returns the token's subject (`sub`); `None` if it is missing or empty.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.get("sub").and_then(Json::as_str).filter(|subject| !subject.is_empty())
    }

    fn role(&self) -> Option<Access> {
        // `admin` is not accepted as a role: a token has to say it in a field of its own, so a role that is
        // set by mistake grants less.
        Access::read(self.0.get("bobbin")?.get("role")?).filter(|role| *role != Access::Admin)
    }

    fn is_admin(&self) -> bool {
        self.0.get("bobbin").and_then(|bobbin| bobbin.get("admin")) == Some(&Json::Bool(true))
    }

    fn names_audience(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Json::String(named)) => named == audience,
            Some(Json::Array(named)) => named.iter().any(|named| named.as_str() == Some(audience)),
            _ => false,
        }
    }

    /// Returns a `NumericDate` without an exponent; fractions are cut off.
    fn seconds(&self, name: &str) -> Option<u64> {
        let Json::Number(text) = self.0.get(name)? else { return None };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        whole.parse().ok().filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

fn object(part: &str) -> Option<Fields> {
    match Json::parse(str::from_utf8(&decode(part)?).ok()?)? {
        Json::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Decodes base64url without padding (RFC 7515, section 2); `None` for anything else.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter.wrapping_sub(b'A'),
            b'a'..=b'z' => letter.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => letter.wrapping_sub(b'0').wrapping_add(52),
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        buffer = ((buffer << 6) | u32::from(value)) & 0x3fff;
        bits = bits.wrapping_add(6);
        if bits >= 8 {
            bits = bits.wrapping_sub(8);
            bytes.push(u8::try_from((buffer >> bits) & 0xff).ok()?);
        }
    }
    // The remaining bits are fewer than a letter has, and zero in the canonical spelling.
    (bits < 6 && buffer.trailing_zeros() >= bits).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8]) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits: Vec<bool> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect_vec();
        bits.resize(bits.len().div_ceil(6) * 6, false);
        let value = |bits: &[bool]| bits.iter().fold(0, |value, bit| value * 2 + usize::from(*bit));
        bits.chunks(6).map(|bits| char::from(LETTERS[value(bits)])).collect()
    }

    fn token(header: &str, claims: &str) -> Result<Token, &'static str> {
        Token::parse(&format!(
            "{}.{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes()),
            encode(b"signed")
        ))
    }

    fn check(claims: &str, now_seconds: u64, audience: Option<&str>) -> Result<(), &'static str> {
        token(r#"{"alg":"HS256"}"#, claims).unwrap().claims.check(now_seconds * 1_000, audience)
    }

    #[test]
    fn base64url_has_one_spelling_for_everything() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc"] {
            assert_eq!(decode(&encode(bytes)).as_deref(), Some(bytes));
        }
        for wrong in ["a", "ab=", "a+b/", "QR", "é"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_algorithm_that_is_not_known_is_refused() {
        for algorithm in ["none", "None", "HS512", "hs256", ""] {
            assert!(token(&format!(r#"{{"alg":"{algorithm}"}}"#), r#"{"sub":"a"}"#).is_err(), "{algorithm}");
        }
        assert!(token(r#"{"alg":"HS256","crit":["x"]}"#, "{}").is_err());
    }

    #[test]
    fn a_token_is_valid_between_its_times_with_some_leeway() {
        let claims = r#"{"sub":"a","nbf":1000,"exp":2000}"#;
        assert_eq!(check(claims, 960, None), Err("the token is not valid yet"));
        assert_eq!(check(claims, 980, None), Ok(()));
        assert_eq!(check(claims, 2_029, None), Ok(()));
        assert_eq!(check(claims, 2_030, None), Err("the token has expired"));
        assert!(check(r#"{"sub":"a"}"#, 1, None).is_err());
        assert!(check(r#"{"exp":2000}"#, 1, None).is_err());
    }

    #[test]
    fn a_caller_that_an_application_lets_in_needs_a_subject_and_no_expiry() {
        let check = |claims: &str| Claims::parse(claims).map(|claims| claims.check_given(2_000_000));
        assert_eq!(check(r#"{"sub":"a"}"#), Some(Ok(())));
        assert_eq!(check(r#"{"sub":"a","exp":1971}"#), Some(Ok(())));
        assert!(check(r#"{"sub":"a","exp":1970}"#).is_some_and(|checked| checked.is_err()));
        assert!(check(r#"{"sub":"a","exp":null}"#).is_some_and(|checked| checked.is_err()));
        let long = format!(r#"{{"sub":"{}"}}"#, "a".repeat(SUBJECT_BYTES_MAX + 1));
        assert!(check(&long).is_some_and(|checked| checked.is_err()));
        for nobody in ["null", "{}", r#"{"sub":""}"#, r#"{"sub":7}"#, "no JSON"] {
            assert_eq!(check(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn a_token_is_valid_only_for_its_audience() {
        for (audience, is_good) in
            [("\"us\"", true), ("[\"them\",\"us\"]", true), ("\"them\"", false), ("7", false)]
        {
            let claims = format!(r#"{{"sub":"a","exp":2000,"aud":{audience}}}"#);
            assert_eq!(check(&claims, 1, Some("us")).is_ok(), is_good, "{audience}");
        }
    }

    #[test]
    fn a_key_of_another_kind_does_not_fit() {
        let key = |json: &str| Json::parse(json).unwrap().as_object().unwrap().clone();
        assert!(Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","use":"sig"}"#)));
        assert!(!Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","use":"enc"}"#)));
        assert!(!Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","alg":"RS512"}"#)));
        assert!(!Algorithm::Es256.fits(&key(r#"{"kty":"EC","crv":"P-384"}"#)));
        assert!(Algorithm::EdDsa.fits(&key(r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA"}"#)));
        assert!(!Algorithm::Hs256.fits(&key(r#"{"kty":"RSA"}"#)));
        assert!(!Algorithm::Hs256.fits(&key(r#"{"kty":"oct","k":"c2VjcmV0"}"#)));
        assert!(!Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","alg":"Ed25519"}"#)));
        assert!(!Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","key_ops":["encrypt"]}"#)));
        assert!(Algorithm::Rs256.fits(&key(r#"{"kty":"RSA","key_ops":["verify"]}"#)));
    }

    #[test]
    fn a_token_that_names_sessions_is_valid_for_those() {
        let claims = r#"{"sub":"a","exp":2000,"bobbin":{"sessions":["one"],"role":"editor"}}"#;
        let claims = token(r#"{"alg":"HS256"}"#, claims).unwrap().claims;
        assert_eq!(claims.identity(Some("one")).granted, Some(Access::Editor));
        assert_eq!(claims.identity(Some("two")).granted, None);
        assert!(!claims.identity(Some("two")).may_create);
    }

    #[test]
    fn a_claim_that_is_not_understood_grants_nothing() {
        for claim in [
            "null",
            "7",
            "{}",
            r#"{"sessions":[]}"#,
            r#"{"sessions":"one","role":"owner"}"#,
            r#"{"sessions":["one"]}"#,
            r#"{"sessions":["*"],"role":"root"}"#,
            r#"{"sessions":[["one"]],"role":"owner"}"#,
            r#"{"role":"owner"}"#,
        ] {
            let claims = format!(r#"{{"sub":"a","exp":2000,"bobbin":{claim}}}"#);
            let claims = token(r#"{"alg":"HS256"}"#, &claims).unwrap().claims;
            let identity = claims.identity(Some("one"));
            assert_eq!((identity.granted, identity.may_create), (None, false), "{claim}");
            assert!(claims.sessions().is_empty(), "{claim}");
        }
    }

    #[test]
    fn a_subjects_length_is_limited() {
        let of = |bytes: usize| format!(r#"{{"sub":"{}","exp":2000}}"#, "s".repeat(bytes));
        assert_eq!(check(&of(SUBJECT_BYTES_MAX), 1, None), Ok(()));
        assert!(check(&of(SUBJECT_BYTES_MAX + 1), 1, None).is_err());
    }
}
