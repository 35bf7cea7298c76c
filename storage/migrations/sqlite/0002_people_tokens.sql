-- Tokens: which families live, what was revoked, grants kept for their subjects, and what people say of themselves. No token and no
-- guard stands here: both are made anew from keys/token.key. DIDs have 20 bytes, kids and rids 8. Times are seconds since 1970.

CREATE TABLE token_families (
    rid      BLOB    PRIMARY KEY,           -- 8 random bytes
    did      BLOB    NOT NULL,              -- whose device
    kid      BLOB    NOT NULL,              -- the device
    audience BLOB    NOT NULL,              -- for whom
    scope    BLOB    NOT NULL,              -- CBOR, a list of scopes
    chain    BLOB    NOT NULL,              -- CBOR, the list of grants it came of; empty of a lease
    life_s   INTEGER NOT NULL,              -- asked for; 0 = the audience's
    turn     INTEGER NOT NULL,              -- guards spent
    spent_ms INTEGER NOT NULL,              -- when the last guard was spent, in milliseconds; 0 = none was
    uid      INTEGER NOT NULL,              -- of the newest token, as the next three
    iat_s    INTEGER NOT NULL,
    exp_s    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    over_s   INTEGER NOT NULL               -- when every token of the family is over
) STRICT, WITHOUT ROWID;

CREATE INDEX token_families_by_did ON token_families (did);
CREATE INDEX token_families_by_age ON token_families (iat_s);

-- Which families came of which grant.
CREATE TABLE token_family_grants (
    sid BLOB NOT NULL,                      -- of the grant, 32 bytes
    rid BLOB NOT NULL,
    PRIMARY KEY (sid, rid)
) STRICT, WITHOUT ROWID;

CREATE INDEX token_family_grants_by_rid ON token_family_grants (rid);

-- The revocation feed. A row is forgotten when every token it means is over.
CREATE TABLE revocations (
    seq          INTEGER PRIMARY KEY,       -- its place; places are never given twice
    kind         INTEGER NOT NULL,          -- 1 family, 2 device, 3 grant
    id           BLOB    NOT NULL,          -- rid, kid or sid
    not_before_s INTEGER NOT NULL,          -- kind 2: tokens minted earlier are meant; else 0
    until_s      INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_by_end ON revocations (until_s);

-- One row: how far the feed has come, and up to which size of the log the devices behind the families were looked at.
CREATE TABLE revocation_feed (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    newest INTEGER NOT NULL,
    cursor INTEGER NOT NULL
) STRICT;

INSERT INTO revocation_feed (one, newest, cursor) VALUES (1, 0, 0);

CREATE TABLE token_audiences (
    did    BLOB    PRIMARY KEY,
    life_s INTEGER NOT NULL                 -- how long its tokens live
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    sid      BLOB    PRIMARY KEY,           -- 32 bytes
    issuer   BLOB    NOT NULL,
    subject  BLOB    NOT NULL,
    parent   BLOB,                          -- sid of the grant before; null of an owner's
    until_s  INTEGER NOT NULL,
    revoked  INTEGER NOT NULL,              -- 1 = by its issuer
    envelope BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_by_subject ON grants (subject);
CREATE INDEX grants_by_issuer ON grants (issuer);
CREATE INDEX grants_by_end ON grants (until_s);

CREATE TABLE profiles (
    did     BLOB    PRIMARY KEY,
    version INTEGER NOT NULL,               -- +1 at each change
    sealed  BLOB    NOT NULL                -- what it says, sealed under a key of keys/people.key
) STRICT, WITHOUT ROWID;
