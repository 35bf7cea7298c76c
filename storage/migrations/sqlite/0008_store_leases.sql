-- Until when accounts are paid for, and the databases whose bodies went because nobody did.

ALTER TABLE account ADD COLUMN lease_until_ms INTEGER NOT NULL DEFAULT 9223372036854775807; -- from then on it is read only; the latest: no end
ALTER TABLE account ADD COLUMN until_given_ms INTEGER NOT NULL DEFAULT 0;   -- when the newest order said so; an older one changes nothing
ALTER TABLE account ADD COLUMN bytes_given_ms INTEGER NOT NULL DEFAULT 0;   -- the same of quota_bytes
ALTER TABLE account ADD COLUMN entries_given_ms INTEGER NOT NULL DEFAULT 0; -- the same of quota_entries
ALTER TABLE account ADD COLUMN lapsed_bytes INTEGER NOT NULL DEFAULT 0;     -- what was said of its databases since the lease was over
ALTER TABLE account ADD COLUMN lapse_seen_ms INTEGER NOT NULL DEFAULT 0;    -- how long lapses were watched when its own was first seen; 0: it has none; the latest: all is dropped

CREATE INDEX account_lapsing ON account (lease_until_ms) WHERE lapse_seen_ms = 0;
CREATE INDEX account_paid_again ON account (lease_until_ms) WHERE lapse_seen_ms > 0;
CREATE INDEX account_lapsed ON account (lapse_seen_ms) WHERE lapse_seen_ms > 0;

CREATE TABLE lapse_watch (
    id         INTEGER PRIMARY KEY,             -- 1
    watched_ms INTEGER NOT NULL                 -- for how long servers watched lapses, one at a time: by this, and by no clock, the grace is counted
) STRICT;

INSERT INTO lapse_watch (id, watched_ms) VALUES (1, 1);

ALTER TABLE db ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;       -- 1: nobody reads it, its bodies go; 2: they are gone; 3: paid for again, what went is gone
ALTER TABLE dblog ADD COLUMN dropped_to INTEGER NOT NULL DEFAULT 0; -- the first entry that this log has not let go of: a body goes that no log has

CREATE INDEX db_by_account ON db (account);
CREATE INDEX dblog_forks ON dblog (id) WHERE length(base) > 0;
