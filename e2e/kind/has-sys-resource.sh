#!/usr/bin/env bash
# Whether a process here may ever hold CAP_SYS_RESOURCE (bit 24). Sandboxes take it away, and then a container that asks
# for all capabilities does not start.
set -euo pipefail
bounding=$(sed -n 's/^CapBnd:\t//p' /proc/self/status)
(((16#$bounding >> 24) & 1))
