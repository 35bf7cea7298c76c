-- Which names changed since when: what brings a snapshot of the DNS zone up to date, without reading every name. Rows come in order
-- and go once a snapshot that has them is durable. Of what changed before this table nobody knows.

CREATE TABLE changed (
    size INTEGER NOT NULL,                  -- of the log whose last batch changed the name
    id   INTEGER NOT NULL,                  -- of the name's label
    PRIMARY KEY (size, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE heads ADD COLUMN changed_from INTEGER NOT NULL DEFAULT 0; -- `changed` has all that changed above this size of the log
UPDATE heads SET changed_from = size;
