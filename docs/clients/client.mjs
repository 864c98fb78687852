#!/usr/bin/env node
// A WXRC client for node 20 or later, without any package.
//
//   node client.mjs [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]   call an interface and print the answer
//   node client.mjs sign INTERFACE KEY < TEXT                                print the signature of a text
//   node client.mjs verify SECRET ID TIMESTAMP SIGNATURES < BODY             end with 0 if a callback is genuine, else with 1
//
// Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S seconds (60). To import: sign, call, verify.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { argv, env, exit, stdout } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const TOTAL_MS = Number(env.TOTAL_S ?? 60) * 1000
const TRY_MS = 30_000
const TOLERANCE_S = 300

/** HMAC-SHA256-V2: the interface's name, a line feed and the text, under the channel's KEY. */
export function sign (name, text, key) {
  return createHmac('sha256', key).update(`${name}\n`).update(text).digest('hex')
}

/**
 * Call an interface and return the answer's text.
 *
 * When the answer is lost, or the gateway is busy, the very same bytes are sent again: with the same txcode it is done once.
 */
export async function call (base, name, { chid, key, botcode, body = '{}', type = 'HMAC-SHA256-V2', txcode = randomBytes(10).toString('hex') }) {
  const reqHead = JSON.stringify({ chid, botcode, txcode, txtime: String(Date.now()) })
  const text = `{"reqHead":${reqHead},"reqBody":${body}}` // what is signed is what is sent, byte for byte
  const signature = type === 'MD5' ? createHash('md5').update(text + key).digest('hex') : sign(name, text, key)
  const headers = { 'Content-Type': 'application/json', 'X-Ecaspsplus-SignatureType': type, 'X-Ecaspsplus-Signature': signature }
  const until = Date.now() + TOTAL_MS
  for (let wait = 200; ; wait = Math.min(wait * 2, 5000)) {
    let why, after = 0
    try {
      const limit = Math.max(1, Math.min(TRY_MS, until - Date.now()))
      const url = `${base.replace(/\/+$/, '')}/api/${name}`
      const response = await fetch(url, { method: 'POST', headers, body: text, redirect: 'manual', signal: AbortSignal.timeout(limit) })
      const answer = await response.text()
      if (response.status === 200) return answer
      why = `HTTP ${response.status}: ${answer}`
      if (![408, 429].includes(response.status) && response.status < 500) throw Object.assign(new Error(why), { final: true })
      after = Number(response.headers.get('Retry-After')) * 1000 || 0
    } catch (error) {
      if (error.final) throw error
      why = error.cause?.message ?? error.message
    }
    const pause = after + wait * (0.5 + Math.random() / 2)
    if (Date.now() + pause > until) throw new Error(`no answer (${why}); it may have been accepted: repeat it with TXCODE=${txcode}`)
    await sleep(pause)
  }
}

/** Tell whether a callback is genuine and not an old one. `signatures` is the header webhook-signature, `body` the bytes as they came. */
export function verify (secret, id, timestamp, signatures, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const right = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
  const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_S // false for what is no number
  return fresh && signatures.split(' ').some(each => {
    const given = Buffer.from(each.replace(/^v1,/, ''), 'base64')
    return each.startsWith('v1,') && given.length === right.length && timingSafeEqual(given, right)
  })
}

async function main (values) {
  if (values[0] === 'sign' && values.length === 3) {
    console.log(sign(values[1], readFileSync(0), values[2]))
  } else if (values[0] === 'verify' && values.length === 5) {
    exit(verify(...values.slice(1), readFileSync(0)) ? 0 : 1)
  } else {
    const type = values[0] === '--md5' ? values.shift() && 'MD5' : undefined
    if (values.length < 5 || values.length > 6) {
      console.error('usage: node client.mjs [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]')
      exit(2)
    }
    const [base, chid, key, botcode, name, body] = values
    stdout.write(await call(base, name, { chid, key, botcode, body, type, txcode: env.TXCODE || undefined }) + '\n')
  }
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  await main(argv.slice(2)).catch(error => { console.error(error.message); exit(1) })
}
