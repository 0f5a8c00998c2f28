#!/usr/bin/env bash
# Builds when needed, then runs. `--target oxmq|apache` (the default is oxmq) chooses the servers, unless NAMESRV_CMD and
# BROKER_CMD say otherwise; all other arguments go to the runner, see README.md.
# OXMQ_BIN: our binary, by default target/release/oxmq of this repository.
set -eu
here="$(cd "$(dirname "$0")/.." && pwd)"
target=oxmq
if [ "${1:-}" = --target ]; then target="$2"; shift 2; fi
if [ ! -d "$here/target/lib" ] || [ ! -e "$here/target/.built" ] \
  || [ -n "$(find "$here/src" "$here/pom.xml" -newer "$here/target/.built" 2>/dev/null)" ]; then
  mvn -q -B -Dstyle.color=never -f "$here/pom.xml" package
  touch "$here/target/.built"
fi
case "$target" in
  oxmq)
    OXMQ_BIN="${OXMQ_BIN:-$here/../../target/release/oxmq}"
    OXMQ_BIN="$(realpath "$OXMQ_BIN")"
    # HOME: the folder of the process, so that logs go there.
    export NAMESRV_CMD="${NAMESRV_CMD:-HOME={dir\} exec $OXMQ_BIN namesrv -c {conf\}}"
    export BROKER_CMD="${BROKER_CMD:-HOME={dir\} exec $OXMQ_BIN broker -c {conf\}}"
    ;;
  apache)
    export APACHE_LIB="${APACHE_LIB:-$here/target/lib}"
    export NAMESRV_CMD="${NAMESRV_CMD:-$here/bin/apache-namesrv.sh {conf\}}"
    export BROKER_CMD="${BROKER_CMD:-$here/bin/apache-broker.sh {conf\}}"
    export BROKER_EXTRA_CONF="${BROKER_EXTRA_CONF:-$here/conf/apache-broker.properties}"
    ;;
  *) echo "--target is oxmq or apache, not $target" >&2; exit 2 ;;
esac
exec "${JAVA:-java}" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -cp "$here/target/classes:$here/target/it-resources:$here/target/lib/*" rmqit.run.Main "$@"
