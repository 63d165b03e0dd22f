#!/bin/sh
# Makes the .env that docker-compose.yaml reads: new random passwords, readable by you alone.
#
#   sh deploy/make-env.sh [FILE]        default: .env beside docker-compose.yaml
#
# An existing file stays as it is: the database was made with the passwords in it.
set -eu
umask 077
file=${1:-$(dirname "$0")/../.env}

if [ -e "$file" ]; then
    echo "make-env: $file exists and stays: the database was made with the passwords in it" >&2
    exit 1
fi

# 192 bits, as hexadecimal digits: safe in SQL, in addresses and in shells.
password() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# Two workers share the machine.
cores=$(getconf _NPROCESSORS_ONLN)
threads=$((cores / 2))
if [ "$threads" -lt 1 ]; then threads=1; fi
if [ "$threads" -gt 8 ]; then threads=8; fi

# Whole or not at all: nobody may find half a file.
cat > "$file.new" <<END
# Passwords of this installation; the database and its volume were made with them.
OPTIMIZED_TSP_SUPERUSER_PASSWORD=$(password)
OPTIMIZED_TSP_OWNER_PASSWORD=$(password)
OPTIMIZED_TSP_APP_PASSWORD=$(password)
OPTIMIZED_TSP_REPORTING_PASSWORD=$(password)
OPTIMIZED_TSP_REDIS_PASSWORD=$(password)

# Encrypts the secrets of webhooks in the database: a backup does not have them without this.
OPTIMIZED_TSP_WEBHOOK_KEY=$(password)

# What Prometheus sends to read /metrics: docs/containers.md, "Metrics".
OPTIMIZED_TSP_METRICS_TOKEN=$(password)

# Cores of one worker (there are two); not more than the machine has.
OPTIMIZED_TSP_SOLVER_THREADS=$threads
END
mv "$file.new" "$file"
echo "make-env: made $file" >&2
