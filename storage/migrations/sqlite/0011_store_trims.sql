-- Logs that owners trim.

ALTER TABLE dblog ADD COLUMN trimmed_to INTEGER NOT NULL DEFAULT 0; -- the first entry that owners left its body: those before dropped_to have lost it already

CREATE INDEX dblog_untrimmed ON dblog (id) WHERE dropped_to < trimmed_to;
