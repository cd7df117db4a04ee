#!/bin/sh
# Chromium at the priority of everything else. Run by root it raises its threads that draw above the bank's, and
# two of them on two cores leave nodes without a core for seconds; run by anybody else it cannot.
[ "$(id -u)" = 0 ] && exec setpriv --bounding-set=-sys_nice /usr/bin/chromium "$@"
exec /usr/bin/chromium "$@"
