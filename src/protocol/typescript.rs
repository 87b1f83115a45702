//! Generates the client's types from the types here: `client/src/protocol.ts`.
//!
//! After a change of the protocol, `UPDATE=1 cargo test protocol_ts` writes the file again.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use ts_rs::{Config, TS};

use crate::dialect::native;

use super::limits::{
    JSON_DEPTH_MAX, MESSAGE_BYTES_MAX, REQUEST_ID_CHARS_MAX, SESSION_ID_CHARS_MAX, TITLE_CHARS_MAX,
};
use super::objects::tagged;
use super::{
    Approval, ApprovalState, Block, ClientFrame, CloseCode, Content, ErrorBody, ErrorCode, Finish, InFlight,
    InFlightState, Json, Message, MessageMetadata, PROTOCOL_VERSION, PermissionMode, Response,
    ResponseMetadata, Role, ServerFrame, Session, SessionState, SessionUpdate, SnapshotReason, Status,
    ToolAnswer, ToolKind, ToolOutput, ToolSaid, Usage, Versions, to_json,
};

const FILE: &str = "client/src/protocol.ts";

tagged! {
    /// A frame to the server. Unknown fields are ignored.
    #[ts(rename = "ClientFrame")]
    pub enum Frame by "type" {
        /// Starts a turn.
        Message = "message" {
            /// Names the turn: 1 to 128 printable ASCII characters, unique in the thread forever. A UUID will
            /// do.
            request_id: String = "requestId",
            /// A non-empty string, or 1 to 256 blocks.
            content: Content = "content",
            /// The thread that the frame is for; it is refused if that is not the socket's.
            #[ts(optional)]
            thread_id: Option<String> = "threadId",
            /// The application's metadata: an object of at most 16 KiB. The agent is given it, and it is
            /// shown with the message.
            #[ts(type = "Record<string, unknown>")]
            #[ts(optional)]
            metadata: Option<Json> = "metadata",
            /// The last message that the writer had seen; refused with `CONFLICT` if it is not on the current
            /// path.
            #[ts(optional)]
            after: Option<String> = "after",
            /// The turn whose message this is a new version of.
            #[ts(optional)]
            replaces: Option<String> = "replaces",
        },
        /// Answers a question again.
        Regenerate = "regenerate" {
            /// Names the turn, as for a message.
            request_id: String = "requestId",
            /// The turn whose question is to be answered again.
            of: String = "of",
        },
        /// Makes the path through a message the current one. After the message, it follows the newest version
        /// at each fork.
        Select = "select" {
            /// The message.
            message_id: String = "messageId",
        },
        /// Cancels a turn.
        Cancel = "cancel" {
            /// The turn to cancel; without it, all turns of the thread.
            #[ts(optional)]
            request_id: Option<String> = "requestId",
        },
        /// Decides whether a call may be carried out whose approval is requested.
        ToolDecision = "tool_decision" {
            /// The turn with the call in its answer.
            request_id: String = "requestId",
            /// The call.
            tool_use_id: String = "toolUseId",
            /// Whether it may be carried out.
            approved: bool = "approved",
            /// The reason, in at most 1,000 characters, for the model and for people.
            #[ts(optional)]
            reason: Option<String> = "reason",
        },
        /// Gives the result of a call whose `output` is `client`.
        ToolOutput = "tool_output" {
            /// The turn with the call in its answer.
            request_id: String = "requestId",
            /// The call.
            tool_use_id: String = "toolUseId",
            /// The result: any JSON.
            #[ts(type = "unknown")]
            content: Json = "content",
            /// Whether the tool failed.
            #[ts(as = "Option<bool>")]
            #[ts(optional)]
            is_error: bool = "isError",
        },
        /// Asks for everything this client lacks: for a client that lost its own state, or is in doubt.
        SessionSync = "session_sync" {
            /// The client's cursor. Without it, or if it is not the one after the last event, a `snapshot`
            /// comes.
            #[ts(optional)]
            cursor: Option<String> = "cursor",
        },
        /// Changes the session.
        SessionUpdate = "session_update" {
            /// 1 to 200 characters; `null` removes the title.
            #[ts(type = "string | null")]
            #[ts(optional)]
            title: Option<String> = "title",
            /// What the agent may do without asking.
            #[ts(optional)]
            permission_mode: Option<PermissionMode> = "permissionMode",
            /// One of the models on offer; `null` is the default.
            #[ts(type = "string | null")]
            #[ts(optional)]
            model: Option<String> = "model",
            /// Fields to merge into the session's metadata, which has at most 4 KiB: `null` removes one.
            #[ts(type = "Record<string, unknown>")]
            #[ts(optional)]
            metadata: Option<Json> = "metadata",
        },
        /// Answers a `check` of the server, with the same number.
        Check = "check" {
            /// The number of the check.
            n: u64 = "n",
        },
        /// Asks for a `pong`.
        Ping = "ping",
    }
}

#[test]
fn protocol_ts_is_what_these_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let generated = generate();
    if std::env::var_os("UPDATE").is_some() {
        assert!(std::fs::write(&path, &generated).is_ok(), "{FILE} could not be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{FILE} is stale: run `UPDATE=1 cargo test protocol_ts`");
}

#[test]
fn every_frame_that_the_client_types_describe_is_read_as_what_it_says() {
    let mut tried = Vec::new();
    for frame in samples() {
        let json = without_nulls(&described(&frame));
        tried.push(json["type"].as_str().unwrap_or_default().to_owned());
        assert_eq!(native::parse(&json.to_string()).frame, Ok(frame));
    }
    let declared = Frame::decl(&Config::new());
    for kind in declared.split("\"type\": \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(tried.iter().any(|tried| tried == kind), "samples() has no frame of the type {kind}");
    }
}

/// Returns each kind of frame, with each of its fields given and left out.
fn samples() -> Vec<ClientFrame> {
    let (request_id, text) = (|| "r1".to_owned(), Content::Text("hello".into()));
    let mode = Some(PermissionMode::Plan);
    let update = |title: Option<Option<&str>>| SessionUpdate {
        title: title.map(|title| title.map(str::to_owned)),
        permission_mode: mode,
        model: title.map(|title| title.map(str::to_owned)),
        metadata: Json::parse(r#"{ "a": 1.5, "b": null }"#).and_then(|json| json.as_object().cloned()),
    };
    vec![
        ClientFrame::Message {
            request_id: request_id(),
            content: text,
            thread_id: Some("t".into()),
            metadata: Json::parse(r#"{ "from": "a test" }"#),
            after: Some("m1".into()),
            replaces: Some("r0".into()),
        },
        ClientFrame::Message {
            request_id: request_id(),
            content: blocks(),
            thread_id: None,
            metadata: None,
            after: None,
            replaces: None,
        },
        ClientFrame::Regenerate { request_id: request_id(), of: "r0".into() },
        ClientFrame::Select { message_id: "m1".into() },
        ClientFrame::Cancel { request_id: Some(request_id()) },
        ClientFrame::Cancel { request_id: None },
        answer(ToolSaid::Decision { approved: true, reason: Some("go on".into()) }),
        answer(ToolSaid::Decision { approved: false, reason: None }),
        answer(ToolSaid::Output(Box::new(Block::tool_result("t1", Json::Number("7".into()), true)))),
        ClientFrame::SessionSync { cursor: Some("0".into()) },
        ClientFrame::SessionSync { cursor: None },
        ClientFrame::SessionUpdate(update(Some(Some("A title")))),
        ClientFrame::SessionUpdate(update(Some(None))),
        ClientFrame::Check { n: (1 << 53) - 1 },
        ClientFrame::Ping,
    ]
}

fn answer(said: ToolSaid) -> ClientFrame {
    ClientFrame::Answer(ToolAnswer { request_id: "r1".into(), tool_use_id: "t1".into(), said })
}

/// Returns the frame as the client's types describe it.
fn described(frame: &ClientFrame) -> Frame {
    match frame.clone() {
        ClientFrame::Message { request_id, content, thread_id, metadata, after, replaces } => {
            Frame::Message { request_id, content, thread_id, metadata, after, replaces }
        }
        ClientFrame::Regenerate { request_id, of } => Frame::Regenerate { request_id, of },
        ClientFrame::Select { message_id } => Frame::Select { message_id },
        ClientFrame::Cancel { request_id } => Frame::Cancel { request_id },
        ClientFrame::Answer(ToolAnswer { request_id, tool_use_id, said }) => match said {
            ToolSaid::Decision { approved, reason } => {
                Frame::ToolDecision { request_id, tool_use_id, approved, reason }
            }
            ToolSaid::Output(block) => match *block {
                Block::ToolResult { content, is_error, output, .. } => {
                    let content = output.unwrap_or(content);
                    Frame::ToolOutput { request_id, tool_use_id, content, is_error }
                }
                _ => Frame::Ping,
            },
        },
        ClientFrame::SessionSync { cursor } => Frame::SessionSync { cursor },
        ClientFrame::SessionUpdate(SessionUpdate { title, permission_mode, model, metadata }) => {
            Frame::SessionUpdate {
                title: title.flatten(),
                permission_mode,
                model: model.flatten(),
                metadata: metadata.map(Json::Object),
            }
        }
        ClientFrame::Check { n } => Frame::Check { n },
        ClientFrame::Ping => Frame::Ping,
    }
}

/// A field that is null counts as left out, except the title, which null removes.
fn without_nulls(frame: &Frame) -> Value {
    let mut json: Value = serde_json::from_str(&to_json(frame)).unwrap();
    if let (Some(fields), false) = (json.as_object_mut(), matches!(frame, Frame::SessionUpdate { .. })) {
        fields.retain(|_, value| !value.is_null());
    }
    json
}

fn blocks() -> Content {
    let json = |text: &str| Json::parse(text).unwrap();
    Content::Blocks(vec![
        Block::Text { text: "hello".into() },
        Block::thinking("hm"),
        Block::Thinking { text: "hm".into(), provider_data: Some(json(r#"{ "signature": "s" }"#)) },
        Block::tool_use("t1", "look", json(r#"{ "at": [1, null] }"#)),
        Block::ToolUse {
            id: "t2".into(),
            name: "look".into(),
            input: json("{}"),
            title: Some("Look".into()),
            kind: Some(ToolKind::Read.into()),
            output: Some(ToolOutput::Client.into()),
            approval: Some(Approval {
                state: ApprovalState::Denied.into(),
                reason: Some("no".into()),
                by: Some("ann".into()),
            }),
            provider_data: Some(json("7")),
        },
        Block::tool_result("t1", Json::String("a sky".into()), false),
        Block::tool_result("t2", json(r#"{ "c": 7 }"#), true),
        Block::File {
            media_type: "image/png".into(),
            url: "https://example.com/a.png".into(),
            name: Some("a.png".into()),
            size: Some(7),
        },
        Block::Data { name: "weather".into(), data: json("[7]"), id: Some("w".into()) },
    ])
}

fn generate() -> String {
    let config = Config::new().with_large_int("number");
    let mut file = String::from(
        "// Generated from src/protocol by `UPDATE=1 cargo test protocol_ts`; a test fails when it is stale.\n",
    );
    for (name, value) in constants() {
        let _ = writeln!(file, "\nexport const {name} = {value};");
    }
    let types = [
        declare::<Role>(&config),
        declare::<Status>(&config),
        declare::<PermissionMode>(&config),
        declare::<SessionState>(&config),
        declare::<ErrorCode>(&config),
        declare::<ErrorBody>(&config),
        declare::<ToolKind>(&config),
        declare::<ToolOutput>(&config),
        declare::<ApprovalState>(&config),
        declare::<Approval>(&config),
        declare::<Block>(&config),
        declare::<Content>(&config),
        declare::<MessageMetadata>(&config),
        declare::<Versions>(&config),
        declare::<Message>(&config),
        declare::<Session>(&config),
        declare::<Finish>(&config),
        declare::<Usage>(&config),
        declare::<ResponseMetadata>(&config),
        declare::<Response>(&config),
        declare::<SnapshotReason>(&config),
        declare::<InFlightState>(&config),
        declare::<InFlight>(&config),
        declare::<ServerFrame>(&config),
        declare::<Frame>(&config),
    ];
    file.extend(types);
    file
}

fn declare<T: TS>(config: &Config) -> String {
    format!("\n{}export {}\n", T::docs().unwrap_or_default(), T::decl(config))
}

/// Exported one by one, so that a bundler keeps only those that are used.
fn constants() -> Vec<(String, String)> {
    macro_rules! named {
        ($($name:ident),+) => { [$((stringify!($name).to_owned(), $name.to_string())),+] };
    }
    let limits = named![
        PROTOCOL_VERSION,
        MESSAGE_BYTES_MAX,
        SESSION_ID_CHARS_MAX,
        REQUEST_ID_CHARS_MAX,
        TITLE_CHARS_MAX,
        JSON_DEPTH_MAX
    ];
    limits.into_iter().chain(close_codes()).collect()
}

fn close_codes() -> impl Iterator<Item = (String, String)> {
    let name = |code: &CloseCode| format!("CLOSE{}", screaming(&format!("{code:?}")));
    CloseCode::ALL.iter().map(move |code| (name(code), (*code as u16).to_string()))
}

/// Returns `SessionDeleted` as `_SESSION_DELETED`.
fn screaming(name: &str) -> String {
    let separated =
        name.chars().flat_map(|char| char.is_uppercase().then_some('_').into_iter().chain([char]));
    separated.collect::<String>().to_uppercase()
}
