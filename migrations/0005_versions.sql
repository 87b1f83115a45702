-- Versions of a conversation: which stretches of a thread's log are on the current path, and what each message follows.

ALTER TABLE sessions ADD COLUMN path TEXT; -- JSON: [[from, to], ..., [from]] of messages' seq, each to before its second; null for all
ALTER TABLE messages ADD COLUMN parent_id TEXT;
ALTER TABLE messages ADD COLUMN client_id TEXT; -- what a stock client calls it

INSERT INTO bobbin_migrations (number) VALUES (5);
