#!/usr/bin/env bash
# Compares decisions with those of Debian's Nova on a few hundred random
# documents. It needs python3-nova, which it installs when it may; without it
# the stage is skipped and says so. bin/kilonova has to be there.
set -euo pipefail
cd "$(dirname "$0")/.."
has_nova() { /usr/bin/python3 -c 'import nova' 2>/dev/null; }
if ! has_nova; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "skipped: python3-nova is not installed, and only root on Debian can install it"
    exit 0
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends python3-nova >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-nova >/dev/null; }
fi
exec go run ./internal/novajudge/soak -older -cases "${NOVACASES:-480}" -kilonova bin/kilonova
