//! Folds the events of a stream into one answer.

use std::borrow::Cow;

use crate::agent::http::history::add_field;
use crate::agent::http::{DONE, Draft, Fold, Usage};
use crate::agent::openai::history::ITEM;
use crate::agent::openai::{Calls, Fragment, Until};
use crate::agent::piece::Piece;
use crate::protocol::json::Reader;
use crate::protocol::{Finish, Json, to_json};

/// Separates two parts of the reasoning.
const PARAGRAPH: &str = "\n\n";

/// Turns events into an answer.
#[derive(Debug, Default)]
pub struct Events {
    calls: Calls,
    /// The items of which some text was emitted.
    said: Vec<u64>,
}

impl Fold for Events {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        if data == DONE {
            return answer.end();
        }
        let Ok(event) = Reader::read_foreign(data, Reader::value) else {
            answer.unread = answer.unread.saturating_add(1);
            if !answer.is_heard {
                answer.odd(data);
            }
            return;
        };
        match event.get("type").and_then(Json::as_str).and_then(|kind| kind.strip_prefix("response.")) {
            Some(kind) => {
                answer.hear();
                self.take(kind, &delta(&event, data), &event, answer);
            }
            None if !answer.report(data) && !answer.is_heard => answer.odd(data),
            None => {}
        }
    }

    /// Takes a whole response.
    fn document(&mut self, text: &str, answer: &mut Draft) {
        let response = Reader::read_foreign(text, Reader::value).ok();
        let output = response.as_ref().and_then(|response| response.get("output")?.as_array());
        let (Some(response), Some(output)) = (&response, output) else { return answer.document(text) };
        for (at, item) in (0..).zip(output) {
            self.item(at, item, true, answer);
        }
        self.over(response, answer);
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        self.calls.deliver(if is_broken_off { Until::Whole } else { Until::End }, answer);
    }
}

/// Returns the text or the arguments that an event adds.
fn delta<'a>(event: &'a Json, data: &'a str) -> Piece<'a> {
    let text = event.get("delta").and_then(Json::as_str).unwrap_or_default();
    let mut delta = Piece::from(Cow::Borrowed(text));
    // It may begin or end with half a character, which a value cannot hold.
    if text.chars().any(|char| char == char::REPLACEMENT_CHARACTER) {
        let _ = Reader::read_foreign(data, |reader| {
            reader.object(&mut |reader, name| match &*name {
                "delta" => Piece::read(reader).map(|piece| delta = piece),
                _ => reader.skip(),
            })
        });
    }
    delta
}

impl Events {
    fn take(&mut self, kind: &str, delta: &Piece, event: &Json, answer: &mut Draft) {
        let number = |name: &str| event.get(name).and_then(Json::as_u64).unwrap_or_default();
        let at = number("output_index");
        match kind {
            "output_text.delta" | "refusal.delta" => {
                self.say(at, answer);
                answer.say_piece(delta);
            }
            "reasoning_summary_text.delta" | "reasoning_text.delta" => {
                self.say(at, answer);
                answer.think(delta, true);
            }
            "reasoning_summary_part.added" if number("summary_index") > 0 => {
                answer.think(&Piece::from(Cow::Borrowed(PARAGRAPH)), true);
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                let mut arguments = Piece::default();
                arguments.push(delta);
                self.call(&Fragment { index: Some(at), arguments, ..Fragment::default() }, answer);
            }
            "output_text.annotation.added" => {
                event.get("annotation").into_iter().for_each(|annotation| answer.source(annotation));
            }
            "output_item.added" | "output_item.done" => {
                if let Some(item) = event.get("item") {
                    self.item(at, item, kind == "output_item.done", answer);
                }
            }
            "completed" | "incomplete" | "failed" | "cancelled" => {
                self.over(event.get("response").unwrap_or(event), answer);
            }
            _ => {}
        }
    }

    /// Notes that text of an item was emitted, so that the item's end does not repeat it.
    fn say(&mut self, at: u64, answer: &mut Draft) {
        if !self.said.contains(&at) {
            self.said.push(at);
            answer.over_limit(0, self.said.len());
        }
    }

    fn call(&mut self, fragment: &Fragment, answer: &mut Draft) {
        answer.gather(self.calls.add(fragment));
        self.calls.deliver(Until::Sure, answer);
        answer.over_limit(self.calls.bytes(), self.calls.len());
    }

    /// Takes an item of the output, at its beginning or complete.
    fn item(&mut self, at: u64, item: &Json, is_whole: bool, answer: &mut Draft) {
        let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default();
        let list = |name: &str| item.get(name).and_then(Json::as_array).unwrap_or_default();
        let is_said = self.said.contains(&at);
        match text("type") {
            "message" | "reasoning" if !is_whole => {}
            "message" => {
                for part in list("content") {
                    let said = part.get("text").or(part.get("refusal")).and_then(Json::as_str);
                    if let Some(said) = said.filter(|_| !is_said) {
                        answer.say_piece(&Piece::from(Cow::Borrowed(said)));
                    }
                    let annotations = part.get("annotations").and_then(Json::as_array).unwrap_or_default();
                    for annotation in annotations {
                        answer.source(annotation);
                    }
                }
            }
            "reasoning" => {
                let mut between = "";
                for part in list("summary").iter().chain(list("content")).filter(|_| !is_said) {
                    let thought = part.get("text").and_then(Json::as_str).unwrap_or_default();
                    for text in [std::mem::replace(&mut between, PARAGRAPH), thought] {
                        answer.think(&Piece::from(Cow::Borrowed(text)), true);
                    }
                }
                if !text("encrypted_content").is_empty() {
                    let mut field = String::new();
                    add_field(&mut field, ITEM, &to_json(item));
                    answer.over_limit(field.len(), 0);
                    *answer.signature() = answer.wanted(&field);
                }
            }
            "function_call" | "custom_tool_call" => {
                let arguments = [text("arguments"), text("input")].concat();
                self.call(
                    &Fragment {
                        index: Some(at),
                        id: Cow::Borrowed(text("call_id")),
                        name: Cow::Borrowed(text("name")),
                        arguments: Piece::from(Cow::Owned(arguments)),
                        ..Fragment::default()
                    },
                    answer,
                );
                if is_whole {
                    self.calls.end(at, answer);
                }
            }
            // Reasoning must be handed back together with the item after it, and this item is not handed
            // back.
            _ => *answer.signature() = None,
        }
    }

    /// Takes the whole response, which ends the answer.
    fn over(&mut self, response: &Json, answer: &mut Draft) {
        let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).map(str::to_owned);
        answer.model = text(response, "model");
        if let Some(reported) = response.get("usage") {
            let mut usage = Usage::default();
            let _ = Reader::read_foreign(&to_json(reported), |reader| usage.read(reader));
            answer.usage.update(usage);
        }
        if response.get("error").is_some_and(|error| *error != Json::Null)
            && answer.report(&to_json(response))
        {
            return;
        }
        let status = text(response, "status").unwrap_or_default();
        let reason = response.get("incomplete_details").and_then(|details| text(details, "reason"));
        match &*status {
            "completed" | "incomplete" => {
                let has_calls = status == "completed" && self.calls.len() > 0;
                answer.finish = has_calls.then_some(Finish::ToolCalls);
                answer.finish_reason = Some(reason.unwrap_or(status));
                answer.complete();
            }
            _ => answer.broke_off(&status),
        }
    }
}
