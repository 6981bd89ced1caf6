#!/bin/sh
# Install the Debian packages that the demo or the tests need and that are missing.
#
#   sh deploy/system-packages.sh demo    Python's venv module, npm
#   sh deploy/system-packages.sh test    also the validators, PostgreSQL and a browser
#
# Does nothing where all are there. Without the right to install, names what is missing.
set -eu

missing=""
need() { # need PACKAGE TEST...: add PACKAGE unless the test succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

case "${1:-demo}" in
demo)
    need python3-venv "${PYTHON:-python3}" -c "import ensurepip, venv"
    need npm npm --version
    ;;
test)
    need stilts test -e /usr/bin/stilts
    need aladin test -e /usr/share/java/aladin.jar
    need fitsverify test -e /usr/bin/fitsverify
    need libcfitsio-bin test -e /usr/bin/funpack
    need chromium test -e /usr/bin/chromium
    need chromium-driver test -e /usr/bin/chromedriver
    need curl curl --version
    need postgresql sh -c 'ls /usr/lib/postgresql/*/bin/initdb'
    need postgresql-15-pgsphere sh -c 'ls /usr/share/postgresql/*/extension/pg_sphere.control'
    ;;
*)
    echo "usage: $0 demo|test" >&2
    exit 2
    ;;
esac

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Please install what these Debian packages hold:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1; then
    sudo="sudo"
else
    echo "Please run as root: apt-get install$missing" >&2
    exit 1
fi

echo "Installing Debian packages:$missing ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # the list is meant to be split
if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    $sudo apt-get install -qq -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
