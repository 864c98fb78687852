#!/usr/bin/env node
// A signed WXRC client for node 20 or later, without any package.
//
//   node client.mjs [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]
//
// It prints the answer. The signature is HMAC-SHA256, or MD5 with --md5. Every call takes a new txcode. If an answer was lost, repeat the
// call with the same one: TXCODE=... node client.mjs ...
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { argv, env, exit } from 'node:process'
import { pathToFileURL } from 'node:url'

/** Sign a request: what is signed is what is sent, byte for byte. */
export function signed ({ chid, key, botcode, body = {}, type = 'HMAC-SHA256', txcode = randomBytes(10).toString('hex') }) {
  const reqHead = { chid, botcode, txcode, txtime: String(Date.now()) }
  const text = JSON.stringify({ reqHead, reqBody: body })
  const signature = type === 'MD5'
    ? createHash('md5').update(text + key, 'utf8').digest('hex')
    : createHmac('sha256', key).update(text, 'utf8').digest('hex')
  const headers = {
    'Content-Type': 'application/json',
    'X-Ecaspsplus-SignatureType': type,
    'X-Ecaspsplus-Signature': signature,
  }
  return { method: 'POST', headers, body: text }
}

/** Call an interface and return the whole answer: { resHead, resBody }. */
export async function call (base, name, request) {
  const response = await fetch(`${base.replace(/\/$/, '')}/api/${name}`, { ...signed(request), signal: AbortSignal.timeout(30_000) })
  return response.json()
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const values = argv.slice(2)
  const type = values[0] === '--md5' ? 'MD5' : 'HMAC-SHA256'
  if (type === 'MD5') values.shift()
  if (values.length < 5 || values.length > 6) {
    console.error('usage: node client.mjs [--md5] BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]')
    exit(2)
  }
  const [base, chid, key, botcode, name, body] = values
  const request = { chid, key, botcode, body: JSON.parse(body ?? '{}'), type, txcode: env.TXCODE || undefined }
  try {
    console.log(JSON.stringify(await call(base, name, request)))
  } catch (error) {
    console.error(`no answer from ${base}: ${error.cause?.message ?? error.message}`)
    exit(1)
  }
}
