/**
 * A real Wechaty puppet gateway with a WeChat of make-believe, for tests of WXRC.
 *
 * The gRPC service, its TLS and its token check are the published npm packages; only the WeChat account behind it is a mock. It is
 * moved by commands, one JSON object a line on stdin, and answers each with one JSON object a line on stdout, in order:
 *
 *   {"do": "open", "token": "...", "tls": null | "built-in" | {"cert": PEM, "key": PEM}, "port": 0}  -> {"port": N, "ca": PEM or null}
 *
 * opens a fresh gateway in place of an earlier one: logged out, nothing recorded. The rest of the commands stand in `commands`
 * below. A command that cannot be carried out is answered with {"error": "..."}; a line that is no JSON object too.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

import { grpc } from 'wechaty-grpc'
import * as PUPPET from 'wechaty-puppet'
import { PuppetMock, mock } from 'wechaty-puppet-mock'
import { PuppetServer } from 'wechaty-puppet-service'

const HEARTBEAT_MS = 5000 // the puppet resets itself after 60 s without one
const { ScanStatus } = PUPPET.types

const BOT = { id: 'wxid_bot', name: 'demo' }
const PEOPLE = [
  { id: 'wxid_alice', name: 'Alice' },
  { id: 'wxid_bob', name: '老王' },
  { id: 'wxid_carol', name: 'Carol' }, // knows the account; is in no room
]
const ROOMS = [
  { id: '1001@chatroom', topic: '订单群', members: ['wxid_bot', 'wxid_alice', 'wxid_bob'] },
  { id: '1002@chatroom', topic: '值班群', members: ['wxid_bot', 'wxid_alice'] },
]

/** The mock sends nothing anywhere; this one records what it is handed and gives each message an id. */
class Account extends PuppetMock {

  world // set right after construction

  async messageSendText (conversationId, text, mentionIds) {
    return this.sendAny(conversationId, { text, mentions: mentionIds ?? [] })
  }

  async messageSendMiniProgram (conversationId, card) {
    return this.sendAny(conversationId, { text: '', mentions: [], card })
  }

  async messageSendFile (conversationId, file) {
    const data = await file.toBuffer()
    const image = createHash('sha256').update(data).digest('hex')
    return this.sendAny(conversationId, { text: '', mentions: [], image, name: file.name })
  }

  async sendAny (conversationId, content) {
    if (!this.isLoggedIn) throw new Error('not logged in')
    const world = this.world
    if (world.sending.error) throw new Error(world.sending.error)
    if (conversationId.includes('@')) world.mocker.RoomMock.load(conversationId) // throws if there is no such room
    else world.mocker.ContactMock.load(conversationId)
    const id = `msg-${++world.sent}`
    world.record.push({ id, conversation: conversationId, ...content, time: Date.now() })
    if (world.sending.echo) world.echo()
    if (world.sending.hang) await new Promise(() => {})
    return world.sending.receipt ? id : undefined
  }

  async roomMemberRawPayload (roomId, contactId) {
    const payload = await super.roomMemberRawPayload(roomId, contactId)
    return { ...payload, roomAlias: this.world.aliases[`${roomId}/${contactId}`] ?? '' }
  }

  async logout (reason) {
    const was = this.isLoggedIn
    await super.logout(reason)
    if (!was) return
    this.world.session = false
    if (!this.world.quiet) this.world.show() // as real puppets do: they wait for the next scan
  }

}

/** One WeChat account, its people and rooms, and the gateway before it. */
class World {

  session = false // a Start logs in without a scan
  codes = 0
  sent = 0
  record = []
  aliases = {}
  sending = { receipt: true, echo: false, error: '', hang: false }
  ready = true // say READY on each login
  quiet = false // show no QR code by itself

  constructor (token) {
    this.token = token
    this.mocker = new mock.Mocker()
    this.puppet = new Account({ mocker: this.mocker })
    this.puppet.world = this
    this.puppet.on('error', () => {}) // without a listener it would end the process
    this.bot = this.mocker.createContact({ phone: [], ...BOT })
    for (const person of PEOPLE) this.mocker.createContact({ phone: [], ...person })
    for (const { id, topic, members } of ROOMS) this.createRoom(id, topic, members)
    this.mocker.use(() => {
      const beat = () => this.puppet.emit('heartbeat', { data: 'test gateway' })
      const timer = setInterval(beat, HEARTBEAT_MS)
      beat()
      if (this.session) this.login()
      else if (!this.quiet) this.show()
      return () => clearInterval(timer)
    })
  }

  createRoom (id, topic, members) {
    this.mocker.createRoom({ id, topic, memberIdList: [...members], adminIdList: [], ownerId: members[0] })
  }

  /** Show a new QR code. */
  show () {
    this.code = `https://wechat.test/login/${++this.codes}`
    this.mocker.scan(this.code, ScanStatus.Waiting)
    return this.code
  }

  login () {
    this.session = true
    this.mocker.login(this.bot)
    if (this.ready) this.puppet.emit('ready', { data: 'rooms are synced' })
  }

  /** Say again, as the account, what was sent last (or another text). */
  echo (text = this.record.at(-1).text, conversation = this.record.at(-1).conversation) {
    this.bot.say(text).to(this.room(conversation))
  }

  room (id) {
    return this.mocker.RoomMock.load(id)
  }

  contact (id) {
    return this.mocker.ContactMock.load(id)
  }

}

let world
let server

/** `start()` of the server keeps its port to itself, so it is learnt where the port is bound. */
let bound = 0
const bindAsync = grpc.Server.prototype.bindAsync
grpc.Server.prototype.bindAsync = function (endpoint, credentials, callback) {
  bindAsync.call(this, endpoint, credentials, (error, port) => {
    bound = port
    callback(error, port)
  })
}

/** The certificate authority that the published package trusts by default. It is no part of what the package exports. */
function builtInAuthority () {
  const dist = dirname(createRequire(import.meta.url).resolve('wechaty-puppet-service'))
  return readFileSync(join(dist, 'auth', 'ca.js'), 'utf8').match(/-----BEGIN CERTIFICATE-----[^`]*-----END CERTIFICATE-----/)[0]
}

const commands = {
  open: async ({ token, tls = null, port = 0 }) => {
    await commands.close()
    world = new World(token)
    const options = { endpoint: `127.0.0.1:${port}`, puppet: world.puppet, token }
    if (tls === null) options.tls = { disable: true }
    else if (tls !== 'built-in') options.tls = { serverCert: tls.cert, serverKey: tls.key }
    server = new PuppetServer(options)
    await server.start()
    return { port: bound, ca: tls === 'built-in' ? builtInAuthority() : null }
  },
  close: async () => {
    if (!server) return
    await server.stop()
    await world.puppet.stop()
    server = world = undefined
  },

  // login
  code: () => ({ code: world.code }),
  scanned: () => world.mocker.scan(world.code, ScanStatus.Scanned),
  confirm: () => {
    world.mocker.scan(world.code, ScanStatus.Confirmed)
    world.login()
  },
  refuse: () => {
    world.mocker.scan(world.code, ScanStatus.Cancel)
    if (!world.quiet) world.show()
  },
  expire: () => {
    world.mocker.scan(world.code, ScanStatus.Timeout)
    if (!world.quiet) world.show()
  },
  session: ({ on = true }) => { world.session = on }, // whether the next Start needs no scan
  rescan: ({ status, code = world.code }) => world.mocker.scan(code, status),
  ready_by_itself: ({ on }) => { world.ready = on },
  quiet: ({ on = true }) => { world.quiet = on },
  ready: () => world.puppet.emit('ready', { data: 'rooms are synced' }),
  kick: ({ reason = 'logged in on another device' }) => world.puppet.logout(reason),
  reset: () => world.puppet.reset(), // what its own watchdog does

  // rooms
  rename: ({ room, topic, by = 'wxid_alice' }) => world.room(room).topic(topic).by(world.contact(by)),
  join: ({ room, who, by = 'wxid_alice' }) => world.room(room).add(world.contact(who)).by(world.contact(by)),
  leave: ({ room, who, by = 'wxid_alice' }) => {
    world.room(room).remove(world.contact(who)).by(world.contact(by))
    if (who === BOT.id) world.mocker.cacheRoomPayload.delete(room)
  },
  create_room: ({ room, topic, members }) => {
    world.createRoom(room, topic, [BOT.id, ...members])
    world.puppet.emit('room-join', {
      inviteeIdList: [BOT.id], inviterId: members[0], roomId: room, timestamp: Date.now(),
    })
  },
  break_room: ({ room }) => { world.mocker.cacheRoomPayload.set(room, undefined) }, // listed, but cannot be read
  mend_room: ({ room }) => { world.mocker.cacheRoomPayload.set(room, world.room(room).payload) },
  dirty: ({ type, id }) => world.puppet.dirtyPayload(type, id),
  topic: ({ room, topic }) => { world.room(room).payload.topic = topic }, // without any event
  alias: ({ room, who, alias }) => { world.aliases[`${room}/${who}`] = alias },

  // messages
  say: ({ room, to = BOT.id, from = 'wxid_alice', text, mention = [] }) => {
    world.contact(from).say(text, mention.map(id => world.contact(id))).to(room ? world.room(room) : world.contact(to))
  },
  event: ({ name, payload }) => world.puppet.emit(name, payload),
  message: ({ payload }) => { // a message of any kind, with any payload
    world.mocker.MessageMock.create({ timestamp: Date.now(), ...payload })
    world.puppet.emit('message', { messageId: payload.id })
  },
  sending: (how) => { Object.assign(world.sending, how) },
  echo: ({ text, conversation }) => world.echo(text, conversation),
  record: () => ({ record: world.record }),
}

const answer = (object) => process.stdout.write(JSON.stringify(Object(object) === object ? object : {}) + '\n')

process.on('unhandledRejection', (error) => process.stderr.write(`unhandled: ${error?.stack}\n`))

answer({ booted: true, node: process.version })
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { do: name, ...rest } = JSON.parse(line)
    if (!Object.hasOwn(commands, name)) throw new Error(`no command ${JSON.stringify(name)}`)
    answer(await commands[name](rest))
  } catch (error) {
    answer({ error: error.message })
  }
}
process.exit(0)
