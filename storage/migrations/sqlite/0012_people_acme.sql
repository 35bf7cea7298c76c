-- Accounts of the API of acme-dns: what each may write is a text of two challenges.
CREATE TABLE acme_accounts (
  username  BLOB NOT NULL PRIMARY KEY, -- 16 bytes
  password  BLOB NOT NULL,             -- 32 bytes: the SHA-256 of the password
  subdomain BLOB NOT NULL,             -- 16 bytes
  name      TEXT NOT NULL,             -- the claimed name whose challenges it writes, absolute; empty: it has a place of its own
  did       BLOB,                      -- 20 bytes: whose device opened it; null: nobody's
  key       BLOB,                      -- 32 bytes: that device
  allow     TEXT NOT NULL,             -- the networks that may use it, between spaces; empty: all
  texts     TEXT NOT NULL,             -- what stands at its own place, between spaces, the newest last
  used_s    INTEGER NOT NULL           -- when it was opened or last written, in seconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_accounts_used ON acme_accounts (used_s);
CREATE INDEX acme_accounts_did ON acme_accounts (did);
CREATE INDEX acme_accounts_texts ON acme_accounts (used_s) WHERE texts <> '';
CREATE INDEX acme_accounts_own ON acme_accounts (did, key) WHERE name = '';
