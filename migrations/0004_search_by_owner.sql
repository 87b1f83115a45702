-- A search that costs only as much as its owner has written. In `words`, a build that knows this migration
-- puts char(31) before each word and at the beginning. This index replaces it by the owner's key, so that
-- each owner has words of their own. Titles have negative rowids. The index keeps no text.

ALTER TABLE sessions ADD COLUMN owner_key TEXT; -- letters and digits that stand for the owner
ALTER TABLE messages ADD COLUMN metadata TEXT; -- JSON: what was sent along, or the figures of an answer

CREATE VIRTUAL TABLE owned_search USING fts5 (
  words, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So M*'"
);

-- Texts of older builds, which may still run beside this one. They are indexed again little by little.
CREATE INDEX sessions_in_older_form ON sessions (n) WHERE substr(words, 1, 1) <> char(31);
CREATE INDEX messages_in_older_form ON messages (n) WHERE substr(words, 1, 1) <> char(31);

-- Sessions with open turns: these are few, however many sessions there are.
CREATE INDEX sessions_by_state ON sessions (state, last_message_at, id) WHERE state <> 'idle';

CREATE TRIGGER owned_session_insert AFTER INSERT ON sessions WHEN substr(new.words, 1, 1) = char(31) BEGIN
  INSERT OR REPLACE INTO owned_search (rowid, words) VALUES (-new.n, replace(new.words, char(31), char(31) || new.owner_key));
END;
CREATE TRIGGER owned_session_update AFTER UPDATE OF words ON sessions WHEN old.words <> new.words BEGIN
  DELETE FROM owned_search WHERE rowid = -old.n;
  INSERT OR REPLACE INTO owned_search (rowid, words)
    SELECT -new.n, replace(new.words, char(31), char(31) || new.owner_key) WHERE substr(new.words, 1, 1) = char(31);
END;
CREATE TRIGGER owned_session_key AFTER UPDATE OF owner_key ON sessions WHEN old.owner_key IS NOT new.owner_key BEGIN
  INSERT OR REPLACE INTO owned_search (rowid, words)
    SELECT n, replace(words, char(31), char(31) || new.owner_key) FROM messages
    WHERE session_id = new.id AND substr(words, 1, 1) = char(31);
END;
CREATE TRIGGER owned_session_delete AFTER DELETE ON sessions BEGIN
  DELETE FROM owned_search WHERE rowid = -old.n;
END;

CREATE TRIGGER owned_message_insert AFTER INSERT ON messages WHEN substr(new.words, 1, 1) = char(31) BEGIN
  INSERT OR REPLACE INTO owned_search (rowid, words)
    SELECT new.n, replace(new.words, char(31), char(31) || owner_key) FROM sessions
    WHERE id = new.session_id AND owner_key IS NOT NULL;
END;
CREATE TRIGGER owned_message_update AFTER UPDATE OF words ON messages WHEN old.words <> new.words BEGIN
  INSERT INTO message_search (message_search, rowid, words) VALUES ('delete', old.n, old.words);
  INSERT INTO message_search (rowid, words) VALUES (new.n, new.words);
  INSERT OR REPLACE INTO owned_search (rowid, words)
    SELECT new.n, replace(new.words, char(31), char(31) || owner_key) FROM sessions
    WHERE id = new.session_id AND owner_key IS NOT NULL;
END;
CREATE TRIGGER owned_message_delete AFTER DELETE ON messages BEGIN
  DELETE FROM owned_search WHERE rowid = old.n;
END;

INSERT INTO bobbin_migrations (number) VALUES (4);
