-- The log of revocations of tower-sealed-session, for MariaDB 10.6 and MySQL 8.0, or newer. Running it again changes
-- nothing.
-- `Revocations` creates the table if it does not exist. Or run: mariadb the_database < revocations.sql

create table if not exists session_revocations (
    seq        bigint        not null auto_increment primary key,
    name       varbinary(16) not null, -- a hash, 8 bytes, or a hash and a time, 16 bytes
    entry      varbinary(64) not null, -- the kind, the name and two times
    expires_at bigint        not null, -- milliseconds since 1970
    unique key session_revocations_name (name),
    key session_revocations_expires_at (expires_at)
) engine = InnoDB, row_format = dynamic;
