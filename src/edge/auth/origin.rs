//! Pages that may connect.

/// Whether a page of `origin` may open a socket at `url`. Exact match against `ALLOWED_ORIGINS`; the
/// worker's own pages may. `None` stands for a caller that is no page.
#[must_use]
pub fn is_allowed(origin: Option<&str>, url: &str, allowed: Option<&str>) -> bool {
    let Some(origin) = origin else { return false };
    own(url) == Some(origin)
        || allowed.is_some_and(|allowed| crate::config::origins(allowed).any(|one| one == origin))
}

/// The origin of an address: scheme, host and port.
fn own(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    url.get(..scheme.len().checked_add(3)?.checked_add(host.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://bobbin.example/sessions/a/websocket?cursor=0";

    #[test]
    fn only_what_is_listed_or_its_own_is_allowed() {
        let allowed = Some("https://app.example, https://two.example:8443");
        for origin in ["https://app.example", "https://two.example:8443", "https://bobbin.example"] {
            assert!(is_allowed(Some(origin), URL, allowed), "{origin}");
        }
        for origin in [
            "https://app.example.evil.example",
            "https://evil-app.example",
            "https://app.exampl",
            "http://app.example",
            "https://two.example",
            "https://bobbin.example.evil.example",
            "null",
            "",
        ] {
            assert!(!is_allowed(Some(origin), URL, allowed), "{origin}");
        }
        assert!(!is_allowed(None, URL, allowed));
    }
}
