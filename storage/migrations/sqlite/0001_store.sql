-- What a server keeps of databases, store.db: entries of their logs in order, who may do what, what accounts use, chunks. Bodies are
-- ciphertext but those of control logs. Times are milliseconds since 1970, sizes bytes. `id` names a row here alone: it is never sent.

CREATE TABLE account (
    id            INTEGER PRIMARY KEY,
    did           BLOB    NOT NULL UNIQUE,      -- 20 bytes: who pays
    quota_bytes   INTEGER NOT NULL,
    used_bytes    INTEGER NOT NULL,
    quota_entries INTEGER NOT NULL,
    used_entries  INTEGER NOT NULL
) STRICT;

CREATE TABLE db (
    id         INTEGER PRIMARY KEY,
    did        BLOB    NOT NULL UNIQUE,         -- 20 bytes
    account    INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE grp (
    db        INTEGER NOT NULL,
    gid       INTEGER NOT NULL,
    key_epoch INTEGER NOT NULL,                 -- of the newest key; 0 = none yet
    PRIMARY KEY (db, gid)
) STRICT, WITHOUT ROWID;

CREATE TABLE member (                           -- the control log, projected
    db      INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    did     BLOB    NOT NULL,                   -- 20 bytes
    rights  INTEGER NOT NULL,                   -- 1 read, 2 write, 4 grant; 0 = revoked
    until_s INTEGER NOT NULL,                   -- seconds since 1970
    PRIMARY KEY (db, gid, did)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    id  INTEGER PRIMARY KEY,
    key BLOB    NOT NULL UNIQUE                 -- Ed25519, 32 bytes
) STRICT;

CREATE TABLE dblog (
    id      INTEGER PRIMARY KEY,
    key     BLOB    NOT NULL UNIQUE,            -- the log id, 32 bytes
    db      INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    kind    INTEGER NOT NULL,                   -- 0 control, 1 shared
    label   TEXT    NOT NULL,
    size    INTEGER NOT NULL,                   -- entries
    edge    BLOB    NOT NULL,                   -- the last leaf, then its path; empty with size 0
    time_ms INTEGER NOT NULL                    -- of the commit that made this size
) STRICT;

CREATE INDEX dblog_by_db ON dblog (db);

CREATE TABLE entry (                            -- also the record that an append is complete: rows stay
    log       INTEGER NOT NULL,
    pos       INTEGER NOT NULL,
    device    INTEGER NOT NULL,
    lsn       INTEGER NOT NULL,
    leaf      BLOB    NOT NULL,                 -- 32 bytes
    head_size INTEGER NOT NULL,                 -- of the commit that added it: its receipt's
    time_ms   INTEGER NOT NULL,                 -- of that commit
    header    BLOB    NOT NULL,
    sig       BLOB    NOT NULL,                 -- 64 bytes
    body      BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX entry_by_pos ON entry (log, pos);
CREATE UNIQUE INDEX entry_by_lsn ON entry (log, device, lsn);

CREATE TABLE cursor (
    log       INTEGER NOT NULL,
    device    INTEGER NOT NULL,
    last_lsn  INTEGER NOT NULL,
    last_leaf BLOB    NOT NULL,                 -- 32 bytes
    PRIMARY KEY (log, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (                             -- roots of full subtrees of 256, 256^2, .. leaves
    log   INTEGER NOT NULL,
    level INTEGER NOT NULL,                     -- 8, 16, ..
    idx   INTEGER NOT NULL,
    hash  BLOB    NOT NULL,                     -- 32 bytes
    PRIMARY KEY (log, level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE equivocation (                     -- two entries of one device at one place, both signed
    log      INTEGER NOT NULL,
    device   INTEGER NOT NULL,
    lsn      INTEGER NOT NULL,
    header_a BLOB    NOT NULL,
    sig_a    BLOB    NOT NULL,
    header_b BLOB    NOT NULL,
    sig_b    BLOB    NOT NULL,
    PRIMARY KEY (log, device, lsn)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunk (
    id       BLOB    PRIMARY KEY,               -- BLAKE3 of the bytes, 32 bytes
    size     INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    body     BLOB                               -- of a small one; a large one is an object
) STRICT, WITHOUT ROWID;

CREATE TABLE chunk_hold (                       -- which accounts have paid for a chunk
    account INTEGER NOT NULL,
    chunk   BLOB    NOT NULL,
    PRIMARY KEY (account, chunk)
) STRICT, WITHOUT ROWID;
