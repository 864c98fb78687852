#!/bin/sh
# A WXRC client in sh, with openssl and curl.
#
#   client.sh [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]   call an interface and print the answer
#   client.sh sign INTERFACE KEY < TEXT                                print the signature of a text
#   client.sh verify SECRET ID TIMESTAMP SIGNATURES < BODY             end with 0 if a callback is genuine, else with 1
#
# for example
#
#   client.sh http://127.0.0.1:8080 demo KEY demo roomSendText '{"roomTopic":"客服一群","text":"你好"}'
#
# The signature is HMAC-SHA256-V2, or MD5 with --md5. Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S
# seconds (60).
#
# Arguments of a command can be seen by everybody on the same machine (ps), the KEY too: use this to try things out.
set -eu

tolerance_s=300
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# sign INTERFACE KEY: the interface's name, a line feed and the text, under the channel's KEY.
sign() {
  { printf '%s\n' "$1"; cat; } | openssl dgst -sha256 -hmac "$2" -r | cut -d' ' -f1
}

# verify SECRET ID TIMESTAMP SIGNATURES: the body comes on standard input, byte for byte as it was posted.
verify() {
  case $3 in '' | *[!0-9]*) return 1 ;; esac
  age=$(($(date +%s) - $3))
  [ "${age#-}" -le $tolerance_s ] || return 1
  key=$(printf '%s' "${1#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
  right=$({ printf '%s.%s.' "$2" "$3"; cat; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
  case " $4 " in *" v1,$right "*) return 0 ;; *) return 1 ;; esac
}

# call BASE CHID KEY BOTCODE INTERFACE REQBODY: when the answer is lost, or the gateway is busy, the very same bytes are sent again.
call() {
  txcode=${TXCODE:-$(openssl rand -hex 10)}
  txtime=$(date +%s)000 # epoch milliseconds, so that no time zone matters
  # What is signed is what is sent, byte for byte.
  printf '{"reqHead":{"chid":"%s","botcode":"%s","txcode":"%s","txtime":"%s"},"reqBody":%s}' "$2" "$4" "$txcode" "$txtime" "$6" > "$tmp/text"
  if [ $type = MD5 ]; then
    signature=$({ cat "$tmp/text"; printf '%s' "$3"; } | openssl dgst -md5 -r | cut -d' ' -f1)
  else
    signature=$(sign "$5" "$3" < "$tmp/text")
  fi
  until=$(($(date +%s) + ${TOTAL_S:-60})) pause=1
  while :; do
    : > "$tmp/head"
    status=$(curl --silent --show-error --max-time 30 --data-binary @"$tmp/text" --dump-header "$tmp/head" --output "$tmp/answer" \
      --write-out '%{http_code}' \
      --header 'Content-Type: application/json' \
      --header "X-Ecaspsplus-SignatureType: $type" \
      --header "X-Ecaspsplus-Signature: $signature" \
      "${1%/}/api/$5" 2> "$tmp/why") || status="none: $(cat "$tmp/why")"
    case $status in
      200) cat "$tmp/answer"; echo; return 0 ;;
      none* | 408 | 429 | 5??) ;;
      *) echo "HTTP $status: $(cat "$tmp/answer")" >&2; return 1 ;;
    esac
    after=$(sed -n 's/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *\([0-9]\{1,9\}\).*/\1/p' "$tmp/head")
    if [ $(($(date +%s) + pause + ${after:-0})) -gt $until ]; then
      echo "no answer ($status); it may have been accepted: repeat it with TXCODE=$txcode" >&2
      return 1
    fi
    sleep $((pause + ${after:-0}))
    pause=$((pause < 5 ? pause + 1 : 5))
  done
}

type=HMAC-SHA256-V2
case ${1-} in
  sign) [ $# -ne 3 ] || { sign "$2" "$3"; exit; } ;;
  verify) [ $# -ne 5 ] || { verify "$2" "$3" "$4" "$5"; exit; } ;;
  --md5) type=MD5; shift ;;
esac
if [ $# -lt 5 ] || [ $# -gt 6 ]; then
  echo "usage: client.sh [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]" >&2
  exit 2
fi
call "$1" "$2" "$3" "$4" "$5" "${6-"{}"}"
