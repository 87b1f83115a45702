//! Pages that may connect.

/// Whether a page of `origin` may open a socket at `url`. Exact match against `ALLOWED_ORIGINS`; the
/// worker's own pages may. `None` stands for a caller that is no page.
#[must_use]
pub fn is_allowed(origin: Option<&str>, url: &str, allowed: Option<&str>) -> bool {
    let Some(origin) = origin else { return false };
    own(url) == Some(origin)
        || allowed.is_some_and(|allowed| crate::config::origins(allowed).any(|one| one == origin))
}

/// Whether a page is served by the machine that its browser runs on.
#[must_use]
pub fn is_local(origin: &str) -> bool {
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
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

    #[test]
    fn a_page_of_this_machine_is_told_from_others() {
        for origin in
            ["http://localhost:5173", "https://localhost", "http://127.0.0.1:8787", "http://[::1]:80"]
        {
            assert!(is_local(origin), "{origin}");
        }
        for origin in [
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example:80",
            "http://evil.example:80",
            "http://localhost:80@evil.example",
            "http://[::1].evil.example",
            "localhost",
            "null",
            "",
        ] {
            assert!(!is_local(origin), "{origin}");
        }
    }
}
