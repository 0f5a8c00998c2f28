# Sourced by the scripts beside it: finds the binary. Sets OXMQ.
# First OXMQ_BIN, then beside the scripts, then the repository's build, then PATH.

find_oxmq() {
  for candidate in "${OXMQ_BIN:-}" "$here/oxmq" "$here/../bin/oxmq" "$here/../target/release/oxmq" "${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/release/oxmq}" "$(command -v oxmq 2>/dev/null)"; do
    if [ -n "$candidate" ] && [ -f "$candidate" ] && [ -x "$candidate" ]; then
      OXMQ=$candidate
      return 0
    fi
  done
  echo "There is no oxmq binary yet. Build it with:  (cd '$(cd "$here/.." && pwd)' && cargo build --release)" >&2
  echo "or set OXMQ_BIN to one." >&2
  exit 127
}
