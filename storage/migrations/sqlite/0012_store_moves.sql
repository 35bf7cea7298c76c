-- Databases that move: db.stage 4 is one that is at another server, 5 one that is on its way here.

ALTER TABLE db ADD COLUMN home TEXT; -- the origin of the log whose people write it; NULL is this server's own

CREATE INDEX db_arriving ON db (created_ms) WHERE stage = 5;
