-- What a DID's own devices are told, hand to each other and keep for each other.

CREATE TABLE cursors (
    name TEXT    PRIMARY KEY,               -- who follows the log
    idx  INTEGER NOT NULL                   -- the log index of the first entry not followed yet
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    did  BLOB    NOT NULL,                  -- whose devices are told, 20 bytes
    id   INTEGER NOT NULL,                  -- ascending for each DID: the time it was told, ms since 1970, or one more than the last
    kind INTEGER NOT NULL,                  -- what happened
    data TEXT    NOT NULL,                  -- where to look, JSON
    PRIMARY KEY (did, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_time ON events (id);

CREATE TABLE awaited (
    sid      BLOB    PRIMARY KEY,           -- an act that waits
    did      BLOB    NOT NULL,              -- in whose chain, 20 bytes
    due_ms   INTEGER NOT NULL,              -- when it is looked at again, epoch ms
    reminded INTEGER NOT NULL               -- 1 once its end was announced
) STRICT, WITHOUT ROWID;

CREATE INDEX awaited_by_due ON awaited (due_ms);

CREATE TABLE pair_messages (
    session BLOB    NOT NULL,               -- 16 bytes
    place   INTEGER NOT NULL,               -- from 1
    body    BLOB    NOT NULL,
    until_s INTEGER NOT NULL,               -- gone from then on, s since 1970; one for all of a session
    PRIMARY KEY (session, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX pair_messages_by_end ON pair_messages (until_s);

CREATE TABLE attachments (
    hash       BLOB    PRIMARY KEY,         -- SHA-256 of the body, as a certificate names it
    did        BLOB    NOT NULL,            -- whose devices may read it, 20 bytes
    generation INTEGER NOT NULL,            -- of the user key
    body       BLOB    NOT NULL,
    kept_s     INTEGER NOT NULL             -- when it came, s since 1970: before its certificate
) STRICT, WITHOUT ROWID;

CREATE INDEX attachments_by_did ON attachments (did, generation);

CREATE TABLE envelopes (
    recipient BLOB    NOT NULL,             -- the signing key of a device, 32 bytes
    id        INTEGER NOT NULL,             -- ascending for each recipient
    body      BLOB    NOT NULL,             -- sealed
    until_s   INTEGER NOT NULL,             -- gone from then on, s since 1970
    PRIMARY KEY (recipient, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX envelopes_by_end ON envelopes (until_s);

CREATE TABLE labels (
    did    BLOB    NOT NULL,                -- whose devices may read it, 20 bytes
    kid    BLOB    NOT NULL,                -- the device it is of, 8 bytes
    sealed BLOB    NOT NULL,                -- sealed to the user key
    PRIMARY KEY (did, kid)
) STRICT, WITHOUT ROWID;
