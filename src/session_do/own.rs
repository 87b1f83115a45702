//! An application's class that has a thread: calls its code for each turn, and tells it of events.

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
    /// The interface of the package's class to its thread.
    #[derive(Clone)]
    pub type Own;
    /// Calls the application's code for a turn, which is passed as JSON: as a string, or as a stream if files
    /// are enclosed. `take` is called with each value that the code yields. The promise is never rejected.
    #[wasm_bindgen(method, catch)]
    fn call(this: &Own, turn: &JsValue, take: &JsValue, signal: &AbortSignal) -> Result<Promise, JsValue>;
    /// Tells of a log event, as JSON.
    #[wasm_bindgen(method, catch)]
    fn happened(this: &Own, event: &str) -> Result<(), JsValue>;
}

/// Converts a value of the application's code, whose kind is numbered as in the package.
fn answered(kind: u8, value: &JsValue) -> Option<Answered> {
    Some(match kind {
        0 => Answered::Part(value.as_string()?),
        1 => Answered::Bytes(value.dyn_ref::<Uint8Array>()?.to_vec()),
        2 => Answered::Reads(AgentName::named(&value.as_string()?)?),
        3 => Answered::End,
        _ => Answered::Refused(Refusal::Own(value.as_string())),
    })
}

/// Calls the application's code, and passes on its values until it ends.
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
    /// The application's hooks handle their own errors.
    pub fn tell(&self, event: &str) {
        if let Err(thrown) = self.happened(event) {
            log_failure("hook_failed", &thrown);
        }
    }
}
