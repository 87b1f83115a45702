CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  title TEXT,
  first_message_preview TEXT NOT NULL,
  message_count INTEGER NOT NULL,
  total_tokens INTEGER NOT NULL,
  permission_mode TEXT NOT NULL,
  owner TEXT,
  created_at INTEGER NOT NULL,
  last_message_at INTEGER NOT NULL,
  seq INTEGER NOT NULL, -- the position of the thread's log that this row reflects
  epoch INTEGER NOT NULL -- names this life of the log
) STRICT;

CREATE INDEX sessions_by_last_message ON sessions (last_message_at DESC, id);
CREATE INDEX sessions_by_owner ON sessions (owner, last_message_at DESC, id);

CREATE TABLE messages (
  id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  role TEXT NOT NULL,
  status TEXT NOT NULL,
  content TEXT NOT NULL, -- JSON: a string, or an array of blocks
  text TEXT NOT NULL, -- the same as plain text, for search
  created_at INTEGER NOT NULL,
  tokens_used INTEGER,
  error TEXT,
  author TEXT,
  seq INTEGER NOT NULL,
  UNIQUE (session_id, seq)
) STRICT;
