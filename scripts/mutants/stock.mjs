// Faults in the streams and requests of stock clients.
export default [
  {
    name: "A growing part does not start anew for a client that continues an answer",
    file: "src/dialect/ai_sdk/chunks.rs",
    from: "            Some(Open::Text) => self.open_text(),",
    to: "            Some(Open::Text) => self.open = Some(Open::Text),",
  },
  {
    name: "A run that is cut off continues one event too late",
    file: "src/pump/stock.rs",
    from: "let lasting = had.lasting.saturating_sub(all.lasting);",
    to: "let lasting = had.lasting.saturating_add(1).saturating_sub(all.lasting);",
  },
  {
    name: "A run that continues after a wait does so at an offset that its client has",
    file: "src/dialect/ag_ui/events.rs",
    from: "let at = Some(self.place(Since::GoingOn(count)));",
    to: "let at = Some(self.place(if count == 1 { Since::GoingOn(1) } else { Since::Told(self.since) }));",
  },
  {
    name: "A client that holds more of a run than a crash left is not sent its end",
    file: "src/pump/stock.rs",
    from: "let end = if frame.ends() && self.skipping != Skipping::All { told.pop() } else { None };",
    to: "let end = None;",
  },
  {
    name: "A client that answers calls is assumed to hold all later events",
    file: "src/thread/stock/shown.rs",
    from: "if known.iter().any(is_open) {",
    to: "if known.len() < usize::MAX {",
  },
  {
    name: "A request that was being sent a turn is lost with the object",
    file: "src/thread/stock.rs",
    from: "(Some((socket, _)), _) => self.dismiss(&socket.into(), CloseCode::InternalError, reason),",
    to: "(Some(_), _) => {}",
  },
  {
    name: "A request that is aborted leaves its turn running",
    file: "src/thread/stock.rs",
    from: "if !detaches && self.permits",
    to: "if detaches && self.permits",
  },
  {
    name: "Results of calls begin a message of their own",
    file: "src/thread/stock/shown.rs",
    from: "                next = *parent;",
    to: "                next = parent.filter(|_| false);",
  },
  {
    name: "A socket owes for events sent to other sockets of its dialect",
    file: "src/thread/unread.rs",
    from: "        if dialect.stock().is_some() {\n            let is_sent",
    to: "        if dialect.stock().is_some() && bytes == 0 {\n            let is_sent",
  },
];
