-- Snapshots: which entries of a log are one.

CREATE TABLE snapshot (
    log INTEGER NOT NULL,                       -- the log that has the entry
    pos INTEGER NOT NULL,                       -- its place
    PRIMARY KEY (log, pos)
) STRICT, WITHOUT ROWID;
