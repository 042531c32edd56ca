-- The schema of tower-sealed-session's store for PostgreSQL 14 or newer. Running it again changes nothing, and waits for no
-- request.
-- Run it with `PostgresStore::create_schema`, or with: psql -1 -f schema.sql

-- Instances that start at the same time wait for each other.
select pg_advisory_xact_lock(7383224104293085);

-- No index has `expires_at`, and pages have room, so that a new end of a session is written in place.
create table if not exists sessions (
    id             bytea  not null primary key, -- hash of the session's id, 16 bytes
    user_id        bytea,                       -- tag of the owner, 16 bytes; null without an owner
    encrypted_data bytea  not null,
    expires_at     bigint not null,             -- milliseconds since 1970
    created_at     bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint,
    version        bigint not null
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, toast_tuple_target = 4080);

-- One row: when expired sessions are deleted next, in milliseconds since 1970.
create table if not exists sessions_sweep (
    id   integer not null primary key check (id = 1),
    next bigint  not null
);
insert into sessions_sweep values (1, 0) on conflict do nothing;

-- These statements would lock an existing table, so they run only if they are needed.
do $$
begin
    -- encrypted data cannot be compressed
    if exists (select from pg_attribute
               where attrelid = 'sessions'::regclass and attname = 'encrypted_data' and attstorage <> 'e') then
        alter table sessions alter column encrypted_data set storage external;
    end if;

    -- a column that a later version of this file has added
    if not exists (select from pg_attribute
                   where attrelid = 'sessions'::regclass and attname = 'created_at' and not attisdropped) then
        alter table sessions add column
            created_at bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint;
    end if;

    if to_regclass('sessions_user_id') is null then
        create index sessions_user_id on sessions (user_id) where user_id is not null;
    end if;

    -- A readable view of the columns. The data itself cannot be read without a key.
    if to_regclass('sessions_readable') is null then
        create view sessions_readable as
        select encode(id, 'hex')                    as id,
               encode(user_id, 'hex')               as user_id,
               length(encrypted_data)               as bytes,
               version,
               to_timestamp(created_at / 1000.0)    as created_at,
               to_timestamp(expires_at / 1000.0)    as expires_at,
               expires_at <= (extract(epoch from clock_timestamp()) * 1000)::bigint as expired
        from sessions;
    end if;
end
$$;
