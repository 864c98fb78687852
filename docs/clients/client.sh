#!/bin/sh
# A signed WXRC client in sh, with openssl and curl.
#
#   client.sh [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]
#
# for example
#
#   client.sh http://127.0.0.1:8080 demo KEY demo roomSendText '{"roomTopic":"客服一群","text":"你好"}'
#
# It prints the answer. The signature is HMAC-SHA256, or MD5 with --md5. Every call takes a new txcode. If an answer was lost, repeat the
# call with the same one: TXCODE=... client.sh ...
#
# Arguments of a command can be seen by everybody on the same machine (ps), the KEY too: use this to try things out.
set -eu

type=HMAC-SHA256
if [ "${1-}" = --md5 ]; then
  type=MD5
  shift
fi
if [ $# -lt 5 ] || [ $# -gt 6 ]; then
  echo "usage: client.sh [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]" >&2
  exit 2
fi
base=$1 chid=$2 key=$3 botcode=$4 interface=$5 body='{}'
[ $# -lt 6 ] || body=$6

txcode=${TXCODE:-$(openssl rand -hex 10)}
txtime=$(date +%s)000 # epoch milliseconds, so that no time zone matters
head="{\"chid\":\"$chid\",\"botcode\":\"$botcode\",\"txcode\":\"$txcode\",\"txtime\":\"$txtime\"}"

# What is signed is what is sent, byte for byte.
text="{\"reqHead\":$head,\"reqBody\":$body}"
if [ $type = MD5 ]; then
  signature=$(printf '%s%s' "$text" "$key" | openssl dgst -md5 -r | cut -d' ' -f1)
else
  signature=$(printf '%s' "$text" | openssl dgst -sha256 -hmac "$key" -r | cut -d' ' -f1)
fi

printf '%s' "$text" | curl --silent --show-error --max-time 30 --data-binary @- --write-out '\n' \
  --header 'Content-Type: application/json' \
  --header "X-Ecaspsplus-SignatureType: $type" \
  --header "X-Ecaspsplus-Signature: $signature" \
  "${base%/}/api/$interface"
