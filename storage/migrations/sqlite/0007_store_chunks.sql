-- Chunks that entries name: each is kept for a purpose, the files of an account or the entries of a database, and counted for it.

CREATE TABLE chunk_use (
    account   INTEGER NOT NULL,                 -- who pays
    db        INTEGER NOT NULL,                 -- whose entries may name it; 0: files of the account
    chunk     BLOB    NOT NULL,                 -- its id, 32 bytes
    size      INTEGER NOT NULL,                 -- what it is charged with
    refs      INTEGER NOT NULL,                 -- how many entries or files name it
    since_ms  INTEGER NOT NULL,                 -- when it was stored, asked for or named last
    marked_ms INTEGER NOT NULL,                 -- since when it is to go, named by nothing; 0: it is not
    PRIMARY KEY (account, db, chunk)
) STRICT, WITHOUT ROWID;

CREATE INDEX chunk_use_by_chunk ON chunk_use (chunk);
CREATE INDEX chunk_use_idle ON chunk_use (marked_ms, since_ms) WHERE refs = 0;

-- What was stored before stays: which files it is of nobody knows.
INSERT INTO chunk_use (account, db, chunk, size, refs, since_ms, marked_ms)
    SELECT chunk_hold.account, 0, chunk_hold.chunk, chunk.size, 1, chunk.since_ms, 0
    FROM chunk_hold JOIN chunk ON chunk.id = chunk_hold.chunk;

DROP TABLE chunk_hold;
