-- What the log says of others: few rows, so an index over hashes costs nothing here.

CREATE TABLE notices (
    evidence_hash BLOB    PRIMARY KEY,      -- of the evidence
    idx           INTEGER NOT NULL          -- the log index of the first Notice made of it
) STRICT, WITHOUT ROWID;
