-- Records that devices put into DNS without a certificate; each until it lapses, or its device is revoked.
CREATE TABLE dns_volatile (
  name    TEXT NOT NULL,    -- the claimed name, absolute
  owner   TEXT NOT NULL,    -- labels below it, empty for itself
  rtype   INTEGER NOT NULL,
  rdata   BLOB NOT NULL,    -- wire form
  ttl_s   INTEGER NOT NULL,
  did     BLOB NOT NULL,    -- 20 bytes: whose the name was
  key     BLOB NOT NULL,    -- 32 bytes: the device that wrote it
  until_s INTEGER NOT NULL, -- when it lapses, in seconds since 1970
  PRIMARY KEY (name, owner, rtype, rdata)
) STRICT, WITHOUT ROWID;
