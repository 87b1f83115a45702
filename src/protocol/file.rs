//! Files: their names, their types and requests for them.

use std::fmt::Write as _;

use super::client::is_session_id;
use super::content::cut;
use super::limits::{FILE_NAME_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};

/// The name of a file that came without one.
const UNNAMED: &str = "file";

/// Returns the address of a file, as a path on the worker.
#[must_use]
pub fn file_path(session_id: &str, file_id: &str) -> String {
    format!("/sessions/{session_id}/files/{file_id}")
}

/// Returns the session and the file that a path names; `None` if it is not such a path.
#[must_use]
pub fn file_of(url: &str) -> Option<(&str, &str)> {
    let (session_id, file_id) = cut(url.strip_prefix("/sessions/")?, "/files/")?;
    (is_session_id(session_id) && is_session_id(file_id)).then_some((session_id, file_id))
}

/// Returns a media type in lower case, without its parameters; `None` if the text is not a media type.
#[must_use]
pub fn media_type(header: &str) -> Option<String> {
    let whole = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_mark = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_mark);
    let (kind, of_kind) = whole.split_once('/')?;
    (whole.len() <= MEDIA_TYPE_BYTES_MAX && is_word(kind) && is_word(of_kind)).then_some(whole)
}

/// Makes a name safe wherever it is shown or saved. The result has no folders and no characters that control
/// a line or its direction. It is cut to [`FILE_NAME_BYTES_MAX`] bytes before its ending, which tells people
/// and programs the type of the file.
#[must_use]
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_harmful = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let plain: String = last.chars().filter(|char| !is_harmful(*char)).collect();
    // A name that begins with dots would be hidden, or would name a folder.
    let plain = plain.trim_matches(|char: char| char.is_whitespace() || char == '.');
    if plain.is_empty() { UNNAMED.to_owned() } else { shortened(plain) }
}

fn shortened(name: &str) -> String {
    if name.len() <= FILE_NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name.rfind('.').and_then(|at| name.get(at..)).filter(|ending| ending.len() <= 16);
    let ending = ending.unwrap_or_default();
    let end = name.floor_char_boundary(FILE_NAME_BYTES_MAX.saturating_sub(ending.len()));
    [name.get(..end).unwrap_or_default(), ending].concat()
}

/// Returns whether a browser may show it instead of saving it: images, sound and PDF. SVG is left out because
/// it can contain scripts.
fn is_shown(media_type: &str) -> bool {
    media_type == "application/pdf"
        || media_type.starts_with("audio/")
        || (media_type.starts_with("image/") && !media_type.starts_with("image/svg"))
}

/// Returns the `Content-Disposition` of a file: shown or saved, and under which name (RFC 6266).
#[must_use]
pub fn disposition(media_type: &str, name: &str) -> String {
    let mut header =
        String::from(if is_shown(media_type) { "inline" } else { "attachment" }) + "; filename*=UTF-8''";
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            header.push(char::from(byte));
        } else {
            let _ = write!(header, "%{byte:02X}");
        }
    }
    header
}

/// The requested part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// A range: its first byte and its length.
    Part(u64, u64),
    /// A range outside the file.
    Beyond,
}

/// Parses a `Range` header. A malformed one, or one for several ranges, requests the whole file (RFC 9110,
/// section 14.2).
#[must_use]
pub fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let asked = range.and_then(|range| range.trim().strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = asked else { return Wanted::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, until) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.trim().is_empty() => (first, size),
        (None, Some(count)) if first.trim().is_empty() => (size.saturating_sub(count), size),
        _ => return Wanted::Whole,
    };
    if from >= until { Wanted::Beyond } else { Wanted::Part(from, until.saturating_sub(from)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_folders_and_nothing_that_hides() {
        for (given, safe) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\evil.exe", "evil.exe"),
            ("photo.png", "photo.png"),
            ("..", "file"),
            ("", "file"),
            (".htaccess", "htaccess"),
            ("a\r\nset-cookie: x", "aset-cookie: x"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("  späte Größe.pdf ", "späte Größe.pdf"),
            ("a/", "file"),
        ] {
            assert_eq!(safe_name(given), safe);
        }
        let long = safe_name(&format!("{}.jpeg", "ü".repeat(300)));
        assert!(long.len() <= FILE_NAME_BYTES_MAX && long.ends_with("ü.jpeg"), "{long}");
        assert_eq!(safe_name(&"x".repeat(300)).len(), FILE_NAME_BYTES_MAX);
    }

    #[test]
    fn a_media_type_is_two_words_and_loses_its_parameters() {
        assert_eq!(media_type("Text/HTML; charset=utf-8").as_deref(), Some("text/html"));
        assert_eq!(media_type("image/svg+xml").as_deref(), Some("image/svg+xml"));
        for wrong in ["", "image", "image/", "/png", "a b/c", "text/html\r\nx: y", "*/*", "a/b/c"] {
            assert_eq!(media_type(wrong), None, "{wrong}");
        }
        assert_eq!(media_type(&format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX))), None);
    }

    #[test]
    fn a_browser_shows_images_sound_and_pdf_and_no_documents() {
        for shown in ["image/png", "audio/mpeg", "application/pdf"] {
            assert!(is_shown(shown));
        }
        for saved in ["image/svg+xml", "text/html", "application/xhtml+xml", "video/mp4", "text/plain"] {
            assert!(!is_shown(saved));
        }
    }

    #[test]
    fn a_name_cannot_end_a_header() {
        assert_eq!(disposition("image/png", "a b.png"), "inline; filename*=UTF-8''a%20b.png");
        let odd = disposition("text/html", "\"'(*);ü\r\n.html");
        assert_eq!(odd, "attachment; filename*=UTF-8''%22%27%28%2A%29%3B%C3%BC%0D%0A.html");
    }

    #[test]
    fn a_path_names_a_session_and_a_file() {
        assert_eq!(file_of(&file_path("s", "f")), Some(("s", "f")));
        for other in [
            "/sessions/s/files/",
            "/sessions/s/files/f/g",
            "/sessions/../files/f",
            "/sessions/s",
            "https://x/sessions/s/files/f",
            "/sessions/s/files/f?x",
        ] {
            assert_eq!(file_of(other), None, "{other}");
        }
    }

    #[test]
    fn one_range_is_served_and_everything_else_is_the_whole() {
        use Wanted::{Beyond, Part, Whole};
        for (range, part) in [
            ("bytes=0-3", Part(0, 4)),
            ("bytes=4-", Part(4, 6)),
            ("bytes=-3", Part(7, 3)),
            ("bytes=-30", Part(0, 10)),
            ("bytes=8-99", Part(8, 2)),
            ("bytes=10-", Beyond),
            ("bytes=10-12", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=3-2", Whole),
            ("bytes=0-1,4-5", Whole),
            ("bytes=x-", Whole),
            ("lines=0-1", Whole),
            ("bytes=-", Whole),
        ] {
            assert_eq!(wanted(Some(range), 10), part, "{range}");
        }
        assert_eq!(wanted(None, 10), Whole);
    }
}
