-- The server's private, mutable data, people.db: nothing here is in the log, and nothing here decides what the log takes. E-mail
-- addresses and subjects of issuers stand here as HMACs under keys/people.key alone. Times are seconds since 1970.

CREATE TABLE signin_starts (
    state   BLOB    PRIMARY KEY,            -- SHA-256 of the state that the browser carries
    kind    INTEGER NOT NULL,               -- 1 at an issuer, 2 with a passkey, 3 a passkey's registration
    data    BLOB    NOT NULL,               -- what the finish needs to know, CBOR
    until_s INTEGER NOT NULL                -- not taken from then on
) STRICT, WITHOUT ROWID;

CREATE INDEX signin_starts_by_end ON signin_starts (until_s);
