-- Passkeys by credential id: of which account, and what an assertion is judged with. No server wrote the table it replaces.

DROP TABLE passkeys;

CREATE TABLE passkeys (
    credential BLOB    PRIMARY KEY,         -- SHA-256 of the credential id
    id         BLOB    NOT NULL,            -- the credential id, as the authenticator made it
    account    BLOB    NOT NULL,            -- of `accounts`, once a name was claimed: issuer and handle, blinded
    handle     BLOB    NOT NULL,            -- 16 random bytes: whose passkey it is, as the authenticator knows it
    public     BLOB    NOT NULL,            -- P-256: x and y, 32 bytes each
    counter    INTEGER NOT NULL,            -- the authenticator's, at the last use; 0 if it has none
    backed_up  INTEGER NOT NULL,            -- 1 if it was on more than one device at the last use
    recipient  BLOB,                        -- the X25519 key made of its PRF, 32 bytes; absent: none is known
    made_s     INTEGER NOT NULL,            -- seconds since 1970
    used_s     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_by_account ON passkeys (account);
CREATE INDEX passkeys_by_age ON passkeys (made_s);
