-- The data about a thread in D1: enough to list, search and read it without waking its object.

CREATE TABLE sessions (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  title TEXT,
  first_message_preview TEXT NOT NULL,
  message_count INTEGER NOT NULL,
  total_tokens INTEGER NOT NULL,
  permission_mode TEXT NOT NULL,
  owner TEXT,
  created_at INTEGER NOT NULL, -- Unix milliseconds, as all times
  last_message_at INTEGER NOT NULL,
  seq INTEGER NOT NULL, -- the place in the thread's log that this row reflects
  epoch INTEGER NOT NULL, -- names the life of the log
  words TEXT NOT NULL -- the title, or else the preview, for search
) STRICT;

CREATE INDEX sessions_by_creation ON sessions (created_at, id);
CREATE INDEX sessions_by_owner ON sessions (owner, created_at, id);

CREATE TABLE messages (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL, -- unique in its session
  session_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  role TEXT NOT NULL,
  status TEXT NOT NULL,
  content TEXT NOT NULL, -- JSON: a string, or an array of blocks
  words TEXT NOT NULL, -- its text, for search
  created_at INTEGER NOT NULL,
  tokens_used INTEGER,
  error TEXT, -- JSON
  author TEXT,
  seq INTEGER NOT NULL,
  UNIQUE (session_id, seq)
) STRICT;
