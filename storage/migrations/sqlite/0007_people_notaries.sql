-- What notaries said, counted as the log is followed, for everybody to see.

CREATE TABLE notary_words (
    sid BLOB PRIMARY KEY,                   -- the certificate that a notary signed: a sign-in, or an attempt to recover
    kid BLOB NOT NULL                       -- its key, 8 bytes
) STRICT, WITHOUT ROWID;

CREATE TABLE notary_counts (
    kid      BLOB    PRIMARY KEY,           -- 8 bytes
    logins   INTEGER NOT NULL,              -- sign-ins it said happened
    disputed INTEGER NOT NULL,              -- of them, those that an owner said were somebody else's
    attempts INTEGER NOT NULL,              -- attempts to recover that it let begin
    proved   INTEGER NOT NULL               -- of them, those whose PIN was proved right
) STRICT, WITHOUT ROWID;
