-- Databases that their owners delete.

ALTER TABLE db ADD COLUMN stage INTEGER NOT NULL DEFAULT 1; -- 1 live, 2 half of the owners are for deleting it, 3 deleted
