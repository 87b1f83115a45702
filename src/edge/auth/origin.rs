//! Pages that may connect, by their origin.

use crate::protocol::cut;

/// Returns whether a page of `origin` may open a socket at `url`: one of the worker's own pages, or an exact
/// match in `ALLOWED_ORIGINS`. `None` means that the caller is not a page.
#[must_use]
pub fn is_allowed(origin: Option<&str>, url: &str, allowed: Option<&str>) -> bool {
    let Some(origin) = origin else { return false };
    own(url) == Some(origin)
        || allowed.is_some_and(|allowed| crate::config::origins(allowed).any(|one| one == origin))
}

/// Returns whether a page is served by the machine that its browser runs on.
#[must_use]
pub fn is_local(origin: &str) -> bool {
    let scheme_and_host = cut(origin, "://");
    scheme_and_host.is_some_and(|(scheme, host)| matches!(scheme, "http" | "https") && is_local_host(host))
}

/// Returns whether a page of `origin` may read responses: one that `ALLOWED_ORIGINS` names. If that is not
/// set and the worker `is_open` to everybody, pages of the same machine may too, such as a development server
/// beside the worker.
#[must_use]
pub fn may_read(origin: &str, allowed: Option<&str>, is_open: bool) -> bool {
    match allowed.filter(|allowed| !allowed.is_empty()) {
        Some(allowed) => crate::config::origins(allowed).any(|one| one == origin),
        None => is_open && is_local(origin),
    }
}

/// Returns whether a worker that lets in everybody may be called by this host name: one of the machine
/// itself, or of an origin in `ALLOWED_ORIGINS`. Anybody can make another name resolve to this machine (DNS
/// rebinding), and then a page under that name would count as the worker's own.
#[must_use]
pub fn is_own_host(host: &str, allowed: Option<&str>) -> bool {
    let is_host = |origin: &str| cut(origin, "://").is_some_and(|(_, named)| named == host);
    is_local_host(host) || allowed.is_some_and(|allowed| crate::config::origins(allowed).any(is_host))
}

/// Returns the host of an address, with its port.
#[must_use]
pub fn host(url: &str) -> &str {
    let rest = cut(url, "://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_local_host(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Returns the origin of an address: scheme, host and port.
fn own(url: &str) -> Option<&str> {
    let (scheme, _) = cut(url, "://")?;
    url.get(..scheme.len().checked_add(3)?.checked_add(host(url).len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://bobbin.example/sessions/a/websocket?cursor=0";

    #[test]
    fn only_listed_origins_and_the_workers_own_are_allowed() {
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
    fn a_page_of_this_machine_differs_from_others() {
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
            "x://localhost",
            "file://localhost",
            "null",
            "",
        ] {
            assert!(!is_local(origin), "{origin}");
        }
    }

    #[test]
    fn a_page_of_this_machine_may_read_if_everybody_is_let_in_and_no_origin_is_named() {
        let (local, allowed) = ("http://localhost:5173", Some("https://app.example"));
        for none in [None, Some("")] {
            assert!(may_read(local, none, true));
            assert!(!may_read(local, none, false));
            assert!(!may_read("https://evil.example", none, true));
        }
        for is_open in [true, false] {
            assert!(!may_read(local, allowed, is_open));
            assert!(may_read("https://app.example", allowed, is_open));
        }
    }

    #[test]
    fn a_worker_open_to_everybody_must_be_called_by_its_own_name() {
        let allowed = Some("https://app.example, http://192.168.1.5:8787");
        for host in
            ["localhost", "localhost:8787", "127.0.0.1:1", "[::1]:8787", "app.example", "192.168.1.5:8787"]
        {
            assert!(is_own_host(host, allowed), "{host}");
        }
        for host in [
            "evil.example:8787",
            "app.example:8787",
            "app.example.evil.example",
            "localhost.evil.example",
            "192.168.1.5",
            "localhost@evil.example",
            "",
        ] {
            assert!(!is_own_host(host, allowed), "{host}");
        }
        assert!(!is_own_host("app.example", None));
        assert_eq!(host("http://evil.example:8787/sessions?a=http://localhost"), "evil.example:8787");
    }
}
