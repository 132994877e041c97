#!/usr/bin/env bash
# Makes a self-signed certificate for the sample's server and stores it in the Secret file-store-tls,
# or the one that TLS_SECRET names. A Secret that is there already is kept, since clients know its
# fingerprint.
#
# Usage: tls-secret.sh [NAMESPACE] [KUBECTL OPTIONS...]     NAMESPACE defaults to kanister
set -euo pipefail

readonly SECRET=${TLS_SECRET:-file-store-tls}
readonly DAYS=365

namespace=${1:-kanister}
kubectl=(kubectl --namespace "$namespace" "${@:2}")

# Clients that trust the fingerprint ignore the names; those that trust an authority need them.
# LibreSSL, as macOS has it, and OpenSSL 1.1 do not know the newer name of -nodes.
make_certificate() {
    local folder=$1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$DAYS" \
        -subj "/CN=${SECRET%-tls}" \
        -addext "subjectAltName=DNS:*.$namespace.svc,DNS:*.$namespace.svc.cluster.local" \
        -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>"$folder/log" ||
        { cat "$folder/log" >&2; return 1; }
}

if [[ -n $("${kubectl[@]}" get secret "$SECRET" --ignore-not-found --output name) ]]; then
    echo "secret/$SECRET is there already"
    exit
fi

folder=$(umask 077 && mktemp -d)
trap 'rm -rf "$folder"' EXIT
make_certificate "$folder"
"${kubectl[@]}" create secret tls "$SECRET" --cert "$folder/tls.crt" --key "$folder/tls.key"
