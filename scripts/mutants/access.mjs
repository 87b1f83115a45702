// Faults in roles, tokens and allowances.
export default [
  {
    name: "Every role in a token has all rights",
    file: "src/protocol/identity.rs",
    from: "self.granted.max(owns.then_some(Access::Owner))",
    to: "self.granted.map(|_| Access::Owner).max(owns.then_some(Access::Owner))",
  },
  {
    name: "A session belongs to everybody whose token names no session",
    file: "src/protocol/identity.rs",
    from: "Some(session) => self.subject.is_some() && session.owner == self.subject,",
    to: "Some(session) => self.granted.is_none() || session.owner == self.subject,",
  },
  {
    name: "A viewer may rename a session over HTTP",
    file: "src/pump/requests.rs",
    from: "permits_request(identity, request.ask())",
    to: "permits_request(identity, crate::thread::Ask::Read)",
  },
  {
    name: "A named editor may begin a session",
    file: "src/thread/permission.rs",
    from: "Ask::Send | Ask::Upload if !has_begun => Access::Owner,",
    to: "Ask::Send | Ask::Upload if !has_begun => Access::Editor,",
  },
  {
    name: "A stranger who connected before the first message stays connected",
    file: "src/thread/turns.rs",
    from: "        self.dismiss_strangers();\n",
    to: "",
  },
  {
    name: "Settings of a session that nobody has begun are shown to everybody",
    file: "src/thread/session.rs",
    from: "self.peers.iter_mut().filter(|(_, peer)| peer.identity.subject == identity.subject)",
    to: "self.peers.iter_mut()",
  },
  {
    name: "A token is valid for a millisecond too long",
    file: "src/protocol/identity.rs",
    from: "self.expires_at.is_some_and(|at| at <= now)",
    to: "self.expires_at.is_some_and(|at| at < now)",
  },
  {
    name: "An agent's output is sent before sockets with expired tokens are closed",
    file: "src/thread/mod.rs",
    from: "        self.dismiss_expired(now);\n        let begins_nothing",
    to: "        if !matches!(input, Input::Agent { .. }) { self.dismiss_expired(now); }\n        let begins_nothing",
  },
  {
    name: "A waking thread sends a catch-up to sockets with expired tokens",
    file: "src/thread/wake.rs",
    from: "        self.dismiss_expired(now);\n",
    to: "",
  },
  {
    name: "No alarm is set for a token that expires",
    file: "src/thread/stream.rs",
    from: "self.files_alarm(), self.next_expiry()]",
    to: "self.files_alarm(), None]",
  },
  {
    name: "Messages do not count towards the allowance",
    file: "src/thread/access.rs",
    from: "            self.count(now, who, per_minute, 1);\n",
    to: "",
  },
  {
    name: "Requested answers are not charged",
    file: "src/thread/unread.rs",
    from: "            self.charge(self.now, to, bytes);\n",
    to: "",
  },
  {
    name: "Live events are charged, too",
    file: "src/thread/unread.rs",
    from: "        if is_asked {\n            self.charge",
    to: "        if is_asked || bytes > 0 {\n            self.charge",
  },
];
