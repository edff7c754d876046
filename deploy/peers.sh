#!/bin/sh
# Foreign peers that the tests talk to: DCMTK, Orthanc, a browser, Prometheus, sslscan and rsyslog. Installed as root on
# Debian; otherwise named.
set -eu
missing=""
command -v storescu >/dev/null 2>&1 || missing="$missing dcmtk"
command -v Orthanc >/dev/null 2>&1 || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v sslscan >/dev/null 2>&1 || missing="$missing sslscan"
[ -x /usr/sbin/rsyslogd ] || command -v rsyslogd >/dev/null 2>&1 || missing="$missing rsyslog"
[ -n "$(find /usr/lib/*/rsyslog /usr/lib/rsyslog /usr/lib64/rsyslog -name lmnsd_ossl.so 2>/dev/null)" ] || missing="$missing rsyslog-openssl"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "set-up: installing$missing"
    apt-get update -qq
    # Debian starts services for Orthanc, Prometheus and rsyslog when it can; the tests start their own on free ports.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "set-up: not found:$missing; the tests that need them are skipped (install them, or run as root on Debian)"
fi
