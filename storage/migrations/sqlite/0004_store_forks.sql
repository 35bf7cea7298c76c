-- Databases that go on from others.

ALTER TABLE dblog ADD COLUMN base BLOB; -- of a fork: the logs that have its first entries, row and end of each, 16 bytes
