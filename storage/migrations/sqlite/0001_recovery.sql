-- What a recovery server keeps, recovery.db: shares of people's keys, and the newest attempt of each that it answered. The secrets are
-- masked by the master key, which is a file elsewhere, and the row's own salt: whoever erases the row has erased them. No address, no
-- subject of an issuer. Times are seconds since 1970.

CREATE TABLE enrolments (
    did         BLOB    NOT NULL,           -- 20 bytes
    epoch       INTEGER NOT NULL,           -- of the enrolment, from 1
    public      BLOB    NOT NULL,           -- the public key of the share, a point
    point       INTEGER NOT NULL,           -- where the shares lie, from 1
    salt        BLOB    NOT NULL,           -- 32 random bytes
    secrets     BLOB    NOT NULL,           -- key share 32, backup share 32, then id 32 and salt 16 of each sign-in; masked
    bundle      BLOB    NOT NULL,           -- how the PIN is hardened; its hash is in the log
    bundle_hash BLOB    NOT NULL,           -- SHA-256 of it
    attempt     INTEGER NOT NULL,           -- the newest that was answered; 0 = none
    blinded     BLOB,                       -- its point
    made_s      INTEGER NOT NULL,
    PRIMARY KEY (did, epoch, public)
) STRICT, WITHOUT ROWID;

CREATE INDEX enrolments_by_bundle ON enrolments (bundle_hash);

CREATE TABLE logs (
    origin TEXT    PRIMARY KEY,
    size   INTEGER NOT NULL,                -- of the largest head seen
    memory BLOB    NOT NULL                 -- that head
) STRICT, WITHOUT ROWID;
