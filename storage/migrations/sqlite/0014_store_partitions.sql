-- Partitions of subscription databases: whose they are, and who sent invitations lately.

CREATE INDEX dblog_said ON dblog (db, id) WHERE kind <= 1;     -- the logs of a database but those of its users, which are many

CREATE TABLE subscriber (
    db INTEGER NOT NULL,                        -- the subscription database
    did BLOB NOT NULL,                          -- whose partition
    salt BLOB NOT NULL,                         -- what makes its logs unlike any guess in the anchors
    PRIMARY KEY (db, did)
) STRICT, WITHOUT ROWID;

CREATE TABLE inviter (
    db INTEGER NOT NULL,                        -- the subscription database
    did BLOB NOT NULL,                          -- who sent invitations to users of it
    sent BLOB NOT NULL,                         -- when the newest, at most 20: Unix ms, eight bytes each, the oldest first
    PRIMARY KEY (db, did)
) STRICT, WITHOUT ROWID;
