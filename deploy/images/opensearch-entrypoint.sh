# One node. Takes the environment of the public image: every variable whose name has a dot in it is a setting.
set -eu
settings=()
while IFS= read -r -d '' entry; do
    name="${entry%%=*}"
    case "$name" in
        *.*) settings+=("-E$entry") ;;
    esac
done </proc/self/environ
exec /usr/share/opensearch/bin/opensearch -Enetwork.host=0.0.0.0 "${settings[@]}"
