-- The log of revocations of tower-sealed-session, for SQLite. Running it again changes nothing.
-- `Revocations` creates the table if it does not exist. Or run: sqlite3 sessions.db < revocations.sql

-- With `autoincrement`, a number is not used again after its row was deleted.
create table if not exists session_revocations (
    seq        integer not null primary key autoincrement,
    name       blob    not null unique, -- a hash, 8 bytes, or a hash and a time, 16 bytes
    entry      blob    not null,        -- the kind, the name and two times
    expires_at integer not null         -- milliseconds since 1970
) strict;

create index if not exists session_revocations_expires_at on session_revocations (expires_at);
