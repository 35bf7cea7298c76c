-- Who signed in, blinded, and what came of it. Hashes are 32 bytes; times are seconds since 1970.

CREATE TABLE attested (
    evidence BLOB    PRIMARY KEY,           -- evidence hash of the sign-in
    account  BLOB    NOT NULL,              -- issuer and subject, blinded
    email    BLOB,                          -- the verified address, blinded; absent for passkeys
    issuer   BLOB    NOT NULL,              -- H(issuer; issuer)
    sign     BLOB    NOT NULL,              -- the device's signing key
    kex      BLOB    NOT NULL,              -- the device's sealing key
    until_s  INTEGER NOT NULL               -- good for names until then
) STRICT, WITHOUT ROWID;

CREATE INDEX attested_by_end ON attested (until_s);

CREATE TABLE attested_names (
    evidence BLOB NOT NULL,                 -- of `attested`
    name     TEXT NOT NULL,                 -- asked for in a post that may have been refused by the log
    PRIMARY KEY (evidence, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    account BLOB PRIMARY KEY,               -- issuer and subject, blinded
    did     BLOB NOT NULL,                  -- 20 bytes; of no meaning while the log has no such DID
    email   BLOB,                           -- the address at the last sign-in, blinded
    since_s INTEGER NOT NULL                -- when it was pinned
) STRICT, WITHOUT ROWID;

CREATE INDEX accounts_by_email ON accounts (email) WHERE email IS NOT NULL;
CREATE INDEX accounts_by_did ON accounts (did);

CREATE TABLE passkeys (
    credential BLOB    PRIMARY KEY,         -- SHA-256 of the credential id
    handle     BLOB    NOT NULL,            -- 16 random bytes: whose passkey it is, as the authenticator knows it
    data       BLOB    NOT NULL,            -- the public key and what the authenticator said of itself, JSON
    made_s     INTEGER NOT NULL,
    used_s     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_by_handle ON passkeys (handle);
