//! A frame as it was sent, parsed when a check looks at it.

use std::cell::OnceCell;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Frame {
    pub text: Rc<str>,
    /// The size of the frame as it was sent.
    pub bytes: usize,
    read: Rc<Read>,
}

#[derive(Debug, Default)]
struct Read {
    head: OnceCell<Head>,
    json: OnceCell<Value>,
}

/// The fields that most checks need. Reading only these takes a fraction of the time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Head {
    #[serde(rename = "type")]
    pub kind: String,
    pub cursor: Option<String>,
    pub request_id: String,
    pub token: Option<String>,
    pub resumed: bool,
}

impl Frame {
    pub fn new(text: &str) -> Self {
        Frame { text: text.into(), bytes: text.len(), read: Rc::default() }
    }

    /// Reads an event of a stream.
    pub fn of_stream(event: &str) -> Self {
        let (id, data) = match event.strip_prefix("id: ") {
            Some(rest) => rest.split_once('\n').map(|(id, data)| (Some(id), data)).expect("a line"),
            None => (None, event),
        };
        let data = data.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
        let frame = Frame { bytes: event.len(), ..Frame::new(data.expect("one line of data")) };
        assert_eq!(frame.json().get("cursor").and_then(Value::as_str), id, "the id is the cursor");
        frame
    }

    pub fn head(&self) -> &Head {
        self.read.head.get_or_init(|| serde_json::from_str(&self.text).expect("a frame is JSON"))
    }

    pub fn json(&self) -> &Value {
        self.read.json.get_or_init(|| serde_json::from_str(&self.text).expect("a frame is JSON"))
    }
}
