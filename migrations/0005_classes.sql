-- Several Thread classes in one worker share these tables. Of a class whose binding is not named SESSION_DO, the name and
-- a slash stand before each session's id: the same id under two bindings is two rows. Lists of such a class have indices
-- of their own, which cost nothing where there is none.

CREATE INDEX sessions_of_class_by_creation ON sessions (substr(id, 1, instr(id, '/')), created_at, id) WHERE instr(id, '/') > 0;
CREATE INDEX sessions_of_class_by_use ON sessions (substr(id, 1, instr(id, '/')), last_message_at, id) WHERE instr(id, '/') > 0;

INSERT INTO bobbin_migrations (number) VALUES (5);
