//! A place in a distributed trace: the [W3C's Trace Context](https://www.w3.org/TR/trace-context/).

use super::limits::TRACESTATE_BYTES_MAX;
use super::{Json, Read, Write};

/// Bytes of a `traceparent` of version 00: `00-<trace id>-<parent id>-<flags>`.
const PARENT_BYTES: usize = 55;

/// A `traceparent` of version 00, followed by a space and its `tracestate` if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace(String);

impl Trace {
    /// Parses the two headers; `None` for an invalid `traceparent`. Of a later version, the part that version
    /// 00 has is used. The `tracestate` is cut to whole entries.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let parent = parent.trim_matches([' ', '\t']);
        let (own, more) = parent.split_at_checked(PARENT_BYTES)?;
        let mut fields = own.split('-');
        let mut field = |digits: usize| fields.next().filter(|field| is_hex(field, digits));
        let (version, id, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let is_whole =
            if version == "00" { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
        let is_named = |id: &str| id.bytes().any(|digit| digit != b'0');
        if version == "ff" || !is_whole || !is_named(id) || !is_named(span) {
            return None;
        }
        // The flags of the standard: sampled, and a random trace id. Others must be 0.
        let flags = u8::from_str_radix(flags, 16).ok()? & 3;
        let flags = char::from(b'0'.saturating_add(flags));
        let mut text: String = ["00-", id, "-", span, "-0"].concat();
        text.push(flags);
        if let Some(state) = state.and_then(bounded) {
            text.push(' ');
            text.push_str(state);
        }
        Some(Trace(text))
    }

    /// Returns the same trace with this number as its span.
    #[must_use]
    pub fn child(&self, span: u64) -> Self {
        let (before, after) = (self.0.get(..36).unwrap_or_default(), self.0.get(52..).unwrap_or_default());
        Trace(format!("{before}{:016x}{after}", span.max(1)))
    }

    /// Returns the two headers with their names.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, Option<&str>); 2] {
        let parent = self.0.get(..PARENT_BYTES);
        [("traceparent", parent), ("tracestate", self.0.get(PARENT_BYTES.saturating_add(1)..))]
    }

    /// Returns the ids of the trace and of the span.
    #[must_use]
    pub fn ids(&self) -> (&str, &str) {
        (self.0.get(3..35).unwrap_or_default(), self.0.get(36..52).unwrap_or_default())
    }
}

impl Write for Trace {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl Read for Trace {
    fn blank() -> Self {
        Trace(String::new())
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let text = json.and_then(Json::as_str).unwrap_or_default();
        let (parent, state) =
            text.split_once(' ').map_or((text, None), |(parent, state)| (parent, Some(state)));
        let read = Trace::parse(parent, state);
        let is_one = read.is_some();
        *self = read.unwrap_or_else(Trace::blank);
        is_one
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns as many whole entries as fit; `None` if a header cannot hold the text.
fn bounded(state: &str) -> Option<&str> {
    let state = state.trim();
    if !state.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    let cut = match state.get(..TRACESTATE_BYTES_MAX) {
        // The comma after the last entry that fits may be the first byte that is cut off.
        Some(_) if state.len() > TRACESTATE_BYTES_MAX => {
            let with_comma = state.get(..=TRACESTATE_BYTES_MAX)?;
            with_comma.get(..with_comma.rfind(',')?)?
        }
        _ => state,
    };
    Some(cut).filter(|cut| !cut.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(trace: &Trace) -> (String, Option<String>) {
        let [(_, parent), (_, state)] = trace.headers();
        (parent.unwrap().to_owned(), state.map(str::to_owned))
    }

    #[test]
    fn a_child_has_the_trace_the_flags_and_the_state_and_a_span_of_its_own() {
        let trace = Trace::parse(PARENT, Some("vendor=1,other=2")).unwrap();
        let child = trace.child(0x1234);
        assert_eq!(child.ids(), ("0af7651916cd43dd8448eb211c80319c", "0000000000001234"));
        let parent = "00-0af7651916cd43dd8448eb211c80319c-0000000000001234-01".to_owned();
        assert_eq!(headers(&child), (parent, Some("vendor=1,other=2".into())));
        assert_eq!(trace.child(0).ids().1, "0000000000000001", "a span of zeros is none");
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_and_unknown_flags_become_what_this_version_knows() {
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fd-more";
        let kept = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(headers(&Trace::parse(later, None).unwrap()).0, kept);
        let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        assert_eq!(headers(&Trace::parse(unsampled, None).unwrap()).0, unsampled);
    }

    #[test]
    fn a_state_is_cut_to_whole_entries() {
        let state = |text: &str| headers(&Trace::parse(PARENT, Some(text)).unwrap()).1;
        assert_eq!(state(" a=1 ").as_deref(), Some("a=1"));
        assert_eq!(state(""), None);
        assert_eq!(state("a=\u{e9}"), None);
        let fits = format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX - 2));
        assert_eq!(state(&fits), Some(fits.clone()));
        assert_eq!(state(&format!("{fits},b=1")), Some(fits.clone()));
        assert_eq!(state(&format!("a=1,{fits}")).as_deref(), Some("a=1"));
        assert_eq!(state(&format!("{fits}x")), None);
    }

    #[test]
    fn a_stored_trace_is_read_back() {
        for state in [None, Some("a=1, b=2")] {
            let trace = Trace::parse(PARENT, state).unwrap();
            assert_eq!(Trace::parse_json(&trace), Some(trace));
        }
    }

    impl Trace {
        fn parse_json(trace: &Trace) -> Option<Trace> {
            <Trace as Read>::parse(&crate::protocol::to_json(trace))
        }
    }
}
