-- The name server's database, names.db. Hashes are 32 bytes, times are ms since 1970, indexes and sizes count log entries.
-- Rows stand in order of arrival: an index over labels, which are random, would cost a page write a row and make a commit
-- at a million names ten times slower. `id` is the local number of a label, never sent or signed; the server keeps
-- label -> id in memory, reads it again at each start, and alone gives out ids.

CREATE TABLE heads (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    size        INTEGER NOT NULL,           -- of the log under the newest signed head
    root        BLOB    NOT NULL,           -- of the tree of that size
    k           INTEGER NOT NULL,           -- the number of its Epoch
    time_ms     INTEGER NOT NULL,           -- the time of its Epoch
    note        BLOB    NOT NULL,           -- the signed note: the value the commit swaps
    public_note BLOB,                       -- the newest head shown under a quorum; null under quorum none
    tiled       INTEGER NOT NULL DEFAULT 0  -- how many leaves stand in durable tiles and bundles
) STRICT;

CREATE TABLE entries (
    idx   INTEGER PRIMARY KEY,              -- the log index
    bytes BLOB    NOT NULL                  -- type and body, as hashed
) STRICT;

CREATE TABLE epochs (
    k       INTEGER PRIMARY KEY,            -- counts Epochs from 0
    size    INTEGER NOT NULL UNIQUE,        -- of the head it ends; the Epoch's entry is size - 1
    root    BLOB    NOT NULL,               -- of the tree of that size
    time_ms INTEGER NOT NULL                -- the Epoch's time
) STRICT;

CREATE TABLE chain (
    id  INTEGER NOT NULL,                   -- of the DID's label
    seq INTEGER NOT NULL,                   -- the certificate's place in the DID's chain
    idx INTEGER NOT NULL,                   -- its log index
    sid BLOB    NOT NULL,                   -- SHA-256 of its payload
    PRIMARY KEY (id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE labels (
    id         INTEGER PRIMARY KEY,         -- from 1, without gaps
    label      BLOB    NOT NULL,            -- the key in the map; each once
    commitment BLOB    NOT NULL,            -- what the map's leaf commits to
    kind       INTEGER NOT NULL,            -- what the label stands for (PROTOCOL 10.1)
    version    INTEGER NOT NULL,            -- +1 at each change
    head_index INTEGER NOT NULL,            -- the certificate that last changed it: log index
    head_hash  BLOB    NOT NULL,            -- and sid
    flags      INTEGER NOT NULL,            -- as in the map's value (PROTOCOL 6.3)
    due_ms     INTEGER,                     -- when a pending act of it falls due; null = nothing waits
    state      BLOB    NOT NULL             -- the State, as hashed
) STRICT;
CREATE INDEX labels_due ON labels (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE names (
    id          INTEGER PRIMARY KEY,        -- of the name's label
    name        TEXT    NOT NULL,           -- absolute, lower case, without final dot
    did         BLOB,                       -- the owner, 20 bytes; null = none
    status      INTEGER NOT NULL,           -- as in the NameState (PROTOCOL 6.2)
    claim_index INTEGER NOT NULL,           -- the log index of the newest claim
    records     BLOB    NOT NULL            -- the CBOR of the records DNS answers; empty = none
) STRICT;

CREATE TABLE invites (
    code_hash   BLOB    PRIMARY KEY,        -- of the invite code
    used_index  INTEGER                     -- the log index of the claim that used it; null = unused
) STRICT, WITHOUT ROWID;

CREATE TABLE edges (
    tree   INTEGER NOT NULL,                -- 0 the log, 1 the history of Epochs
    level  INTEGER NOT NULL,                -- of the tile
    start  INTEGER NOT NULL,                -- the tile's number at that level
    hashes BLOB    NOT NULL,                -- of the right-edge tile, 32 bytes each
    PRIMARY KEY (tree, level)
) STRICT, WITHOUT ROWID;
