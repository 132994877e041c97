#!/bin/sh
# Starts PostgreSQL on the data in PGDATA. An empty folder is filled first: the superuser is `postgres`,
# with the password in POSTGRES_PASSWORD. Arguments are the server's.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Elsewhere first: one that is killed meanwhile leaves nothing that looks complete.
    unfinished=$PGDATA.unfinished password=$(mktemp)
    rm -rf "$unfinished" "$PGDATA"
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
    initdb --pgdata="$unfinished" --username=postgres --pwfile="$password" \
        --auth-local=trust --auth-host=scram-sha-256
    rm "$password"
    echo 'host all all all scram-sha-256' >>"$unfinished/pg_hba.conf"
    mv "$unfinished" "$PGDATA"
fi
exec postgres -c 'listen_addresses=*' "$@"
