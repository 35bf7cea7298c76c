-- A cosigner's database, witness.db or verifier.db: the newest head of each log that it cosigned. Hashes are 32 bytes, sizes count
-- log entries. A row moves forward alone; what the row says was durable before its signature left.

CREATE TABLE cosigned (
    origin TEXT    PRIMARY KEY,             -- the log
    size   INTEGER NOT NULL,                -- of the head cosigned last
    root   BLOB    NOT NULL,                -- of the tree of that size
    note   BLOB    NOT NULL                 -- that checkpoint with the log's lines and the cosigner's
) STRICT, WITHOUT ROWID;
