//! Whatever bytes a model's server sends, and however they are cut, they mean the same, and end once.

#![no_main]

use bobbin::agent::AgentEvent;
use bobbin::agent::openai;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = events(&mut [bytes].into_iter());
    let cut = events(&mut bytes.chunks(usize::from(size).max(1)));
    assert_eq!(joined(&whole), joined(&cut));
    let ends = whole.iter().filter(|event| is_end(event)).count();
    assert_eq!((ends, whole.last().is_some_and(is_end)), (1, true));
});

fn events<'a>(chunks: &mut dyn Iterator<Item = &'a [u8]>) -> Vec<AgentEvent> {
    let mut completion = openai::completion();
    let mut events: Vec<AgentEvent> = chunks.flat_map(|chunk| completion.push(chunk)).collect();
    if !events.last().is_some_and(is_end) {
        events.extend(completion.finish());
    }
    // How often an end is announced, or a block grows, hangs on the cuts.
    events.retain(|event| !matches!(event, AgentEvent::Ending(_) | AgentEvent::Gathering));
    events
}

fn is_end(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_))
}

/// Texts run together, and what a block grows by.
fn joined(events: &[AgentEvent]) -> Vec<AgentEvent> {
    let mut joined = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(AgentEvent::Text(last)), AgentEvent::Text(text))
            | (Some(AgentEvent::Grow(last)), AgentEvent::Grow(text)) => last.push_str(text),
            _ => joined.push(event.clone()),
        }
    }
    joined
}
