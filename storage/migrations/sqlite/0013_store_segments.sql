-- Old entries of logs lie packed in objects, segments. Of each what its acknowledgement rests on stays here, by blocks of up to 256 entries.

CREATE TABLE segment (                          -- runs of entries of a log, from its first one on without a gap
    log   INTEGER NOT NULL,
    first INTEGER NOT NULL,                     -- the place of the first entry
    count INTEGER NOT NULL,
    level INTEGER NOT NULL,                     -- how often those in it were merged
    bytes INTEGER NOT NULL,                     -- of the object
    dead  INTEGER NOT NULL,                     -- of bodies in it that were dropped since it was written
    chunk BLOB    NOT NULL,                     -- the object, a chunk: 32 bytes
    PRIMARY KEY (log, first)
) STRICT, WITHOUT ROWID;

CREATE INDEX segment_by_chunk ON segment (chunk);
CREATE INDEX segment_dead ON segment (log, first) WHERE dead > 0;

CREATE TABLE segment_old (                      -- objects of segments that others took the place of: they go after a grace
    chunk    BLOB    PRIMARY KEY,               -- 32 bytes
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX segment_old_by_time ON segment_old (since_ms);

CREATE TABLE packed (                           -- also the record that appends are complete: rows stay
    log    INTEGER NOT NULL,
    first  INTEGER NOT NULL,                    -- the place of the first entry
    leaves BLOB    NOT NULL,                    -- 32 bytes an entry
    marks  BLOB    NOT NULL                     -- of each entry device, lsn, size and time of the head, bytes of header and body
) STRICT;

CREATE UNIQUE INDEX packed_by_pos ON packed (log, first);

CREATE TABLE packed_device (                    -- which block has the entries of a device
    log    INTEGER NOT NULL,
    device INTEGER NOT NULL,
    lsn    INTEGER NOT NULL,                    -- its first one in the block
    first  INTEGER NOT NULL,                    -- the block
    PRIMARY KEY (log, device, lsn)
) STRICT, WITHOUT ROWID;
