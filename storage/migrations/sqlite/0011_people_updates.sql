-- Updates of DNS that were taken or refused once: none is judged a second time while its signature may last.
CREATE TABLE dns_signed (
  signed  BLOB NOT NULL PRIMARY KEY, -- 32 bytes: the SHA-256 of what was signed
  did     BLOB NOT NULL,             -- 20 bytes: whose device signed
  until_s INTEGER NOT NULL           -- when it is forgotten, in seconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_signed_until ON dns_signed (until_s);
