-- More data about a session: the state of its turns, and the application's metadata. Also the list by last
-- use. From here on each migration ends by recording its number, so that a build can recognise a newer
-- database.

ALTER TABLE sessions ADD COLUMN state TEXT; -- idle, running or waiting, as of the last delivery
ALTER TABLE sessions ADD COLUMN metadata TEXT; -- JSON: an object
ALTER TABLE sessions ADD COLUMN model TEXT;

CREATE INDEX sessions_by_use ON sessions (last_message_at, id);
CREATE INDEX sessions_by_owner_and_use ON sessions (owner, last_message_at, id);

CREATE TABLE bobbin_migrations (
  number INTEGER PRIMARY KEY
) STRICT;
INSERT INTO bobbin_migrations (number) VALUES (3);
