-- The schema of tower-sealed-session's store for SQLite. Running it again changes nothing.
-- Run it with `SqliteStore::create_schema`, or with: sqlite3 sessions.db < schema.sql

create table if not exists sessions (
    id             blob    not null primary key, -- hash of the session's id, 16 bytes
    user_id        blob,                         -- tag of the owner, 16 bytes; null without an owner
    encrypted_data blob    not null,
    expires_at     integer not null,             -- milliseconds since 1970
    created_at     integer not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer)),
    version        integer not null
) strict;

create index if not exists sessions_user_id on sessions (user_id) where user_id is not null;
create index if not exists sessions_expires_at on sessions (expires_at);

-- One row: when expired sessions are deleted next, in milliseconds since 1970.
create table if not exists sessions_sweep (
    id   integer not null primary key check (id = 1),
    next integer not null
) strict;
insert into sessions_sweep values (1, 0) on conflict do nothing;

-- A readable view of the columns. The data itself cannot be read without a key.
create view if not exists sessions_readable as
select lower(hex(id))                                           as id,
       lower(hex(user_id))                                      as user_id,
       length(encrypted_data)                                   as bytes,
       version,
       datetime(created_at / 1000, 'unixepoch')                 as created_at,
       datetime(expires_at / 1000, 'unixepoch')                 as expires_at,
       expires_at <= cast((julianday('now') - 2440587.5) * 86400000 as integer) as expired
from sessions;
