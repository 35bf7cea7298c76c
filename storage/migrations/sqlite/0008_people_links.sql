-- Where the account of a sign-in is, for its owner to see and to take it away.

ALTER TABLE accounts ADD COLUMN issuer BLOB; -- H(issuer; issuer) of the sign-in that pinned it; absent if it was pinned before this column
