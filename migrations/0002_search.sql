-- Full-text search in titles and messages. The indices keep no text of their own: it is in `words`. Besides
-- letters and digits, words contain marks, without which many scripts cannot be read, and emoji.

CREATE VIRTUAL TABLE session_search USING fts5 (
  words, content = 'sessions', content_rowid = 'n', tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So M*'",
  prefix = '2 3'
);
CREATE VIRTUAL TABLE message_search USING fts5 (
  words, content = 'messages', content_rowid = 'n', tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So M*'",
  prefix = '2 3'
);

CREATE TRIGGER session_search_insert AFTER INSERT ON sessions BEGIN
  INSERT INTO session_search (rowid, words) VALUES (new.n, new.words);
END;
CREATE TRIGGER session_search_update AFTER UPDATE OF words ON sessions WHEN old.words <> new.words BEGIN
  INSERT INTO session_search (session_search, rowid, words) VALUES ('delete', old.n, old.words);
  INSERT INTO session_search (rowid, words) VALUES (new.n, new.words);
END;
CREATE TRIGGER session_search_delete AFTER DELETE ON sessions BEGIN
  INSERT INTO session_search (session_search, rowid, words) VALUES ('delete', old.n, old.words);
END;

CREATE TRIGGER message_search_insert AFTER INSERT ON messages BEGIN
  INSERT INTO message_search (rowid, words) VALUES (new.n, new.words);
END;
CREATE TRIGGER message_search_delete AFTER DELETE ON messages BEGIN
  INSERT INTO message_search (message_search, rowid, words) VALUES ('delete', old.n, old.words);
END;

INSERT INTO session_search (session_search) VALUES ('rebuild');
INSERT INTO message_search (message_search) VALUES ('rebuild');
