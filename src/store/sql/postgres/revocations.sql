-- The log of revocations of tower-sealed-session, for PostgreSQL 14 or newer. Running it again changes nothing.
-- `Revocations` creates the table if it does not exist. Or run: psql -1 -f revocations.sql

-- Instances that start at the same time wait for each other.
select pg_advisory_xact_lock(7383224104293085);

create table if not exists session_revocations (
    seq        bigint generated always as identity primary key,
    name       bytea  not null unique, -- a hash, 8 bytes, or a hash and a time, 16 bytes
    entry      bytea  not null,        -- the kind, the name and two times
    expires_at bigint not null         -- milliseconds since 1970
);

-- The statement would lock an existing table, so it runs only if it is needed.
do $$
begin
    if to_regclass('session_revocations_expires_at') is null then
        create index session_revocations_expires_at on session_revocations (expires_at);
    end if;
end
$$;
