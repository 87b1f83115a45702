//! Whatever text a client sends is a frame or a refusal, and a frame keeps to the contract.

#![no_main]

use bobbin::protocol::{ClientFrame, is_request_id};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let request_id = match ClientFrame::parse(text) {
        Ok(frame) => frame.request_id().map(str::to_owned),
        Err(refusal) => refusal.request_id,
    };
    assert!(request_id.is_none_or(|id| is_request_id(&id)));
});
