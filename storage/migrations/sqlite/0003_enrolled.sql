-- Which keys stood in the log before, as the door asks it: derived from the entries, so a server that finds rows missing makes
-- them again. A row a bundle and not a row a key: nothing here is looked up by SQL, it is read whole at each start.

CREATE TABLE enrolled (
    bundle INTEGER PRIMARY KEY,             -- the number of a durable entry bundle, from 0 without gaps
    marks  BLOB    NOT NULL                 -- 8 bytes each, in the order of its certificates
) STRICT;
