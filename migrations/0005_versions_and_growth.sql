-- Versions of a conversation: which stretches of a thread's log are on the current path, and which message
-- each one follows.

ALTER TABLE sessions ADD COLUMN path TEXT; -- JSON: [[from, to], ..., [from]] of messages' seq, each to before its second; null for all
ALTER TABLE messages ADD COLUMN parent_id TEXT;
ALTER TABLE messages ADD COLUMN client_id TEXT; -- what a stock client calls it

-- Several Thread classes in one worker share these tables. If a class's binding is not named SESSION_DO, that
-- name and a slash come before each session's id: the same id under two bindings is two rows. Lists of such a
-- class have indices of their own, which cost nothing if there is no such class.

CREATE INDEX sessions_of_class_by_creation ON sessions (substr(id, 1, instr(id, '/')), created_at, id) WHERE instr(id, '/') > 0;
CREATE INDEX sessions_of_class_by_use ON sessions (substr(id, 1, instr(id, '/')), last_message_at, id) WHERE instr(id, '/') > 0;

-- The database's own id. A thread that finds another one delivers its whole session again.
CREATE TABLE bobbin_database (
  id TEXT NOT NULL
) STRICT;
INSERT INTO bobbin_database (id) VALUES (lower(hex(randomblob(8))));

-- People who are to be forgotten. If one of their sessions is delivered later, but began before this time, it
-- is deleted after the delivery.
CREATE TABLE erasures (
  owner TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
-- Subjects who wrote in sessions of others.
CREATE TABLE participants (
  subject TEXT NOT NULL,
  session_id TEXT NOT NULL,
  PRIMARY KEY (subject, session_id)
) STRICT, WITHOUT ROWID;
INSERT INTO participants (subject, session_id)
  SELECT DISTINCT author, session_id FROM messages CROSS JOIN sessions ON sessions.id = session_id
  WHERE author IS NOT NULL AND author IS NOT owner;

INSERT INTO bobbin_migrations (number) VALUES (5);
