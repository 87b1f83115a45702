//! Whatever text a client sends is a frame, which keeps to the contract, or a refusal, which names it.

#![no_main]

use bobbin::dialect::native;
use bobbin::protocol::{ClientFrame, Received, is_request_id};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Received { frame, name } = native::parse(text);
    match frame {
        Ok(ClientFrame::Message { request_id, .. } | ClientFrame::Cancel { request_id: Some(request_id) }) => {
            assert!(is_request_id(&request_id));
            assert_eq!(name.request_id, Some(request_id));
        }
        Ok(_) => {}
        Err(_) => assert!(name.request_id.is_some() || name.start.is_some()),
    }
});
