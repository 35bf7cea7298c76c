-- Chunks that no entry names, which go. Which chunks entries name is counted once more from the entries themselves before any does.

ALTER TABLE chunk RENAME COLUMN since_ms TO stored_ms;           -- a server from before this, still running beside another one, stores none: it would not know what goes
ALTER TABLE chunk ADD COLUMN writing INTEGER NOT NULL DEFAULT 0; -- which writing of its object; a part of the object's name but for 0

CREATE TABLE chunk_gone (                       -- objects that are kept for nothing: they are to be deleted
    id       BLOB    NOT NULL,                  -- the chunk, 32 bytes
    writing  INTEGER NOT NULL,                  -- of the object
    since_ms INTEGER NOT NULL,                  -- when its row went
    PRIMARY KEY (id, writing)
) STRICT, WITHOUT ROWID;

CREATE INDEX chunk_gone_by_time ON chunk_gone (since_ms);

CREATE TABLE chunk_writing (
    id      INTEGER PRIMARY KEY,                -- 1
    writing INTEGER NOT NULL                    -- of the objects that are written now: higher than that of any object that is to be deleted
) STRICT;

INSERT INTO chunk_writing (id, writing) VALUES (1, 0);

ALTER TABLE dblog ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;  -- what its entries before this name is counted
ALTER TABLE dblog ADD COLUMN to_count INTEGER NOT NULL DEFAULT 0; -- and of those from here on as they came; between the two it is not yet

CREATE INDEX dblog_uncounted ON dblog (id) WHERE counted < to_count;

UPDATE dblog SET to_count = size;
UPDATE chunk_use SET refs = 0 WHERE db > 0;
