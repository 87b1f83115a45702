//! The class of an application that has a thread: its code is called for each turn, and told of what happens.

use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use crate::agent::{Answered, Refusal};
use crate::platform::log_failure;
use crate::protocol::Named;
use crate::variables::AgentName;

use super::agents::Answers;
use super::shell::Runtime;

#[wasm_bindgen]
extern "C" {
    /// What the package's class gives its thread.
    #[derive(Clone)]
    pub type Own;
    /// Calls the application's code for a turn, told as JSON: a text, or a stream of one that files go along in. Each call of `take` hands on something that it gave. It never
    /// rejects.
    #[wasm_bindgen(method, catch)]
    fn call(this: &Own, turn: &JsValue, take: &JsValue, signal: &AbortSignal) -> Result<Promise, JsValue>;
    /// Tells of an event of the log, as JSON.
    #[wasm_bindgen(method, catch)]
    fn happened(this: &Own, event: &str) -> Result<(), JsValue>;
}

/// What the application's code gave: kinds as the package numbers them.
fn answered(kind: u8, value: &JsValue) -> Option<Answered> {
    Some(match kind {
        0 => Answered::Part(value.as_string()?),
        1 => Answered::Bytes(value.dyn_ref::<Uint8Array>()?.to_vec()),
        2 => Answered::Reads(AgentName::named(&value.as_string()?)?),
        3 => Answered::End,
        _ => Answered::Refused(Refusal::Own(value.as_string())),
    })
}

/// Calls the application's code, and hands on what it gives until that is over.
pub async fn call(runtime: &Runtime, answers: &Answers, turn: &JsValue, signal: &AbortSignal) {
    let Some(own) = &runtime.own else {
        answers.deliver(Answered::Refused(Refusal::NoService));
        return;
    };
    let to = answers.clone();
    let take =
        move |kind: u8, value: JsValue| answered(kind, &value).is_some_and(|answered| to.deliver(answered));
    let take: Closure<dyn FnMut(u8, JsValue) -> bool> = Closure::new(take);
    let over = match own.call(turn, take.as_ref(), signal) {
        Ok(called) => JsFuture::from(called).await.map(drop),
        Err(thrown) => Err(thrown),
    };
    if let Err(thrown) = over {
        log_failure("agent_failed", &thrown);
        answers.deliver(Answered::Refused(Refusal::Own(None)));
    }
}

impl Own {
    /// Its hooks answer for themselves.
    pub fn tell(&self, event: &str) {
        if let Err(thrown) = self.happened(event) {
            log_failure("hook_failed", &thrown);
        }
    }
}
