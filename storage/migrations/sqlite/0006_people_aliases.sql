-- Addresses that DIDs bound, as far as their owners and their sign-ins need them. The addresses themselves are not here.

CREATE TABLE aliases (
    did     BLOB    NOT NULL,               -- whose, 20 bytes
    alias   BLOB    NOT NULL,               -- the alias id in the log, 32 bytes
    account BLOB    NOT NULL,               -- the account that signed in for it, blinded
    sealed  BLOB    NOT NULL,               -- what opens the binding, sealed to the owner's user key; empty = nothing
    bound   INTEGER NOT NULL,               -- 1 once the log bound it to the DID
    since_s INTEGER NOT NULL,               -- when a notary signed, s since 1970
    PRIMARY KEY (did, alias)
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_by_account ON aliases (account);
CREATE INDEX aliases_waiting ON aliases (since_s) WHERE bound = 0;
