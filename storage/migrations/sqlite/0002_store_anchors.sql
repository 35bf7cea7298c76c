-- Anchors: what of the logs is said in the log of names. A row is written before the entry is posted, so that a store behind the log
-- of names was put back from an older copy.

ALTER TABLE dblog ADD COLUMN anchored_size INTEGER NOT NULL DEFAULT 0; -- how many entries the newest anchor has of it

CREATE INDEX dblog_grown ON dblog (id) WHERE size > anchored_size;

CREATE TABLE anchor (
    k    INTEGER PRIMARY KEY,                       -- its number, from 1
    body BLOB    NOT NULL                           -- of its entry in the log of names
) STRICT;

CREATE TABLE anchor_head (                          -- the heads that an anchor has first
    k       INTEGER NOT NULL,
    label   BLOB    NOT NULL,                       -- 32 bytes, of the log in the tree
    log     INTEGER NOT NULL,
    version INTEGER NOT NULL,                       -- from 1
    size    INTEGER NOT NULL,                       -- entries
    root    BLOB    NOT NULL,
    prev    BLOB,                                   -- the hash of the one before; none in version 1
    PRIMARY KEY (k, label)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX anchor_head_by_log ON anchor_head (log, version);
