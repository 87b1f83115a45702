//! A thread's messages as `TanStack AI` loads them, with the same ids as in a stream.

use crate::agent::event::{made, set, single, text, word};
use crate::dialect::grouped;
use crate::protocol::{ApprovalState, Block, CollectVec, Content, Json, Message, Millis, Role, to_json};

use super::events::approval_id;

const PARTS: [(&str, &str); 4] = [
    ("text", "type=text,content<text"),
    ("thinking", "type=thinking,content<text"),
    ("tool_use", "type=tool-call,id,name,arguments,input,state,approval<asked,output<given"),
    ("tool_result", "type=tool-result,toolCallId<toolUseId,content,state,error"),
];
const SECONDS_OF_DAY: u64 = 86_400;

/// The response to a client that loads a thread: its messages, the run to join, and the offset from which to join it.
#[must_use]
pub fn history(messages: &[Message], run: Option<&str>, before: Option<&str>) -> String {
    let messages: Vec<String> = grouped(messages).iter().map(|group| message(group)).collect_vec();
    let run = run.map_or("null".into(), |run| format!(r#"{{"runId":{}}}"#, to_json(&run)));
    let page = match before {
        None => r#"{"truncated":false}"#.into(),
        Some(before) => format!(r#"{{"truncated":true,"cursor":{}}}"#, to_json(&before)),
    };
    let messages = messages.join(",");
    format!(r#"{{"messages":[{messages}],"activeRun":{run},"interrupts":null,"page":{page}}}"#)
}

fn message(group: &[&Message]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let is_answer = first.role == Role::Assistant;
    let mut parts = Vec::new();
    for message in group {
        match &message.content {
            Content::Text(text) if text.is_empty() => {}
            Content::Text(text) => part(&mut parts, &Block::Text { text: text.clone() }),
            Content::Blocks(blocks) => blocks.iter().for_each(|block| part(&mut parts, block)),
        }
    }
    let mut message = single("id", word(first.client_id.as_ref().unwrap_or(&first.id)));
    set(&mut message, "role", word(if is_answer { "assistant" } else { "user" }));
    set(&mut message, "parts", Json::Array(parts));
    set(&mut message, "createdAt", word(&date(first.created_at)));
    to_json(&message)
}

fn part(parts: &mut Vec<Json>, block: &Block) {
    let mut json = Json::parse(&to_json(block)).unwrap_or(Json::Null);
    match block {
        Block::ToolUse { input, approval, .. } => {
            set(&mut json, "arguments", word(&to_json(input)));
            let state = match approval.as_ref().map(|approval| approval.state == ApprovalState::Requested) {
                None => "input-complete",
                Some(is_open) => {
                    let mut asked = single("id", word(approval_id(block)));
                    set(&mut asked, "needsApproval", Json::Bool(true));
                    if !is_open {
                        let approved =
                            approval.as_ref().is_some_and(|it| it.state == ApprovalState::Approved);
                        set(&mut asked, "approved", Json::Bool(approved));
                    }
                    set(&mut json, "asked", asked);
                    if is_open { "approval-requested" } else { "approval-responded" }
                }
            };
            set(&mut json, "state", word(state));
        }
        Block::ToolResult { tool_use_id, content, is_error, output } => {
            if let Some(call) = parts.iter_mut().rev().find(|part| text(part, "id") == tool_use_id) {
                set(call, "state", word("complete"));
                set(call, "output", output.as_ref().unwrap_or(content).clone());
            }
            let content = content.as_str().map_or_else(|| to_json(content), str::to_owned);
            if *is_error {
                set(&mut json, "error", word(&content));
            }
            set(&mut json, "content", word(&content));
            set(&mut json, "state", word(if *is_error { "error" } else { "complete" }));
        }
        Block::File { media_type, url, .. } => {
            let kinds = ["image", "audio", "video"];
            let kind = kinds.iter().find(|kind| media_type.starts_with(**kind)).unwrap_or(&"document");
            let mut source = single("type", word("url"));
            set(&mut source, "value", word(url));
            set(&mut source, "mimeType", word(media_type));
            let mut file = single("type", word(kind));
            set(&mut file, "source", source);
            return parts.push(file);
        }
        _ => {}
    }
    let kind = text(&json, "type");
    if let Some((_, template)) = PARTS.iter().find(|(of, _)| *of == kind) {
        parts.push(made(template, &json));
    }
}

/// A time in ISO 8601, in UTC.
fn date(at: Millis) -> String {
    let (days, seconds) = ((at / 1_000) / SECONDS_OF_DAY, (at / 1_000) % SECONDS_OF_DAY);
    // Howard Hinnant's algorithm: in years that begin in March, the leap day comes last.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = day_of_era
        .saturating_sub(day_of_era / 1_460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096)
        / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year.saturating_sub(month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if month < 10 { month.saturating_add(3) } else { month.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    let (hours, minutes) = (seconds / 3_600, (seconds / 60) % 60);
    let (seconds, millis) = (seconds % 60, at % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn times_are_dates() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (1_795_709_027_627, "2026-11-26T16:03:47.627Z"),
        ] {
            assert_eq!(date(at), expected);
        }
    }
}
