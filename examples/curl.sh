#!/bin/sh
# The API with nothing but curl: a whole answer, a stream, and a stream picked up in its middle.
#
#   BFF_KEY=... sh examples/curl.sh ["What is 15 * 23?"]
set -eu
url=${BFF_URL:-http://127.0.0.1:8000}
question=${1:-What is 15 * 23?}
body=$(printf '%s' "$question" | sed 's/[\\"]/\\&/g; s/.*/{"message": "&"}/')
head=$(mktemp)
trap 'rm -f "$head"' EXIT

# the key comes from standard input, since everyone on the machine may read a command line
call() {
  printf 'header = "X-API-Key: %s"\n' "${BFF_KEY:?set it to an API key; make run prints one}" |
    curl --config - --silent --show-error --fail-with-body --no-buffer "$@"
}

echo '# The whole answer at once'
call "$url/v1/chat" --json "$body"

printf '\n\n# The same as it comes; -D keeps the headers, among them the id of the run\n'
call "$url/v1/chat/stream" --json "$body" --dump-header "$head"

run=$(tr -d '\r' < "$head" | awk 'tolower($1) == "x-run-id:" { print $2 }')
echo '# The connection was lost after event 3? The rest is still there'
call "$url/v1/runs/$run/events" --header 'Last-Event-ID: 3'

echo '# And the conversation is kept'
call "$url/v1/sessions?limit=1"
echo
