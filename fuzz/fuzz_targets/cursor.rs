//! A cursor has one spelling.

#![no_main]

use bobbin::protocol::Cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(cursor) = Cursor::parse(text) {
        assert_eq!(cursor.to_string(), text);
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    }
});
