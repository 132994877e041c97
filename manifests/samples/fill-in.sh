#!/usr/bin/env bash
# Puts a random password in place of each placeholder of a password in the samples. The client's is the
# same everywhere, all others differ. What is filled in already stays. Keys of a cloud are left to you.
#
# Usage: fill-in.sh
set -euo pipefail

cd "$(dirname "$0")"

fill_in() {
    local what=$1 password
    shift
    password=$(openssl rand -hex 16)
    # With a suffix the option means the same to GNU and BSD.
    sed -i.before "s/placeholder-$what-password/$password/" "$@"
    rm -f "${@/%/.before}"
}

for folder in file-store s3 gcs azure; do
    for what in repository admin; do
        fill_in "$what" "$folder/secrets.yaml"
    done
done
fill_in postgresql actionsets/secrets.yaml
fill_in client ./*/secrets.yaml client/secret.yaml functions/secret.yaml
echo "the passwords are in the files secrets.yaml and secret.yaml"
