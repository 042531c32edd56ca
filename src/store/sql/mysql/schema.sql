-- The schema of tower-sealed-session's store for MariaDB 10.6 and MySQL 8.0, or newer. Running it again changes nothing.
-- Run it with `MySqlStore::create_schema`, or with: mariadb the_database < schema.sql

create table if not exists sessions (
    id             binary(16) not null primary key, -- hash of the session's id
    user_id        binary(16),                      -- tag of the owner; null without an owner
    encrypted_data mediumblob not null,
    expires_at     bigint     not null,             -- milliseconds since 1970
    created_at     bigint     not null default (floor(unix_timestamp(now(3)) * 1000)),
    version        bigint     not null,
    key sessions_user_id (user_id),
    key sessions_expires_at (expires_at)
) engine = InnoDB, row_format = dynamic;

-- One row: when expired sessions are deleted next, in milliseconds since 1970.
create table if not exists sessions_sweep (
    id   tinyint not null primary key check (id = 1),
    next bigint  not null
) engine = InnoDB;
insert ignore into sessions_sweep values (1, 0);

-- A readable view of the columns. The data itself cannot be read without a key.
create or replace view sessions_readable as
select lower(hex(id))                  as id,
       lower(hex(user_id))             as user_id,
       length(encrypted_data)          as bytes,
       version,
       from_unixtime(created_at / 1000) as created_at,
       from_unixtime(expires_at / 1000) as expires_at,
       expires_at <= floor(unix_timestamp(now(3)) * 1000) as expired
from sessions;
