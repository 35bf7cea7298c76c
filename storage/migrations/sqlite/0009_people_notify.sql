-- Who wants to know that something of a name grew, and where to push it while nobody is here.

CREATE TABLE notify_versions (
    did     BLOB    PRIMARY KEY,            -- 20 bytes
    version INTEGER NOT NULL                -- of everything its devices joined
) STRICT, WITHOUT ROWID;

CREATE TABLE notify_joins (
    device         BLOB    NOT NULL,        -- its signing key, 32 bytes
    name           TEXT    NOT NULL,        -- whose host publishes
    log            BLOB    NOT NULL,        -- which of its logs: a hash, 16 bytes
    did            BLOB    NOT NULL,        -- of the device, 20 bytes
    muted_until_ms INTEGER NOT NULL,        -- 0: not muted
    sent_size      INTEGER NOT NULL,        -- what was pushed last
    read_size      INTEGER NOT NULL,        -- what the device says it read
    PRIMARY KEY (device, name, log)
) STRICT, WITHOUT ROWID;

CREATE INDEX notify_joins_by_log ON notify_joins (name, log);
CREATE INDEX notify_joins_by_did ON notify_joins (did);

CREATE TABLE push_subscriptions (
    device   BLOB    PRIMARY KEY,           -- 32 bytes
    did      BLOB    NOT NULL,              -- 20 bytes
    enc      BLOB    NOT NULL,              -- endpoint and keys, sealed under people.key: 32 bytes
    sealed   BLOB    NOT NULL               -- and the rest of the box
) STRICT, WITHOUT ROWID;

CREATE TABLE push_outbox (
    device  BLOB    NOT NULL,               -- 32 bytes
    name    TEXT    NOT NULL,
    log     BLOB    NOT NULL,               -- 16 bytes
    size    INTEGER NOT NULL,               -- the newest
    due_ms  INTEGER NOT NULL,               -- when it is tried, or tried again
    tries   INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,               -- since when it waits: it goes after a day
    PRIMARY KEY (device, name, log)
) STRICT, WITHOUT ROWID;

CREATE INDEX push_outbox_by_due ON push_outbox (due_ms);
