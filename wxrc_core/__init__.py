"""The pure core of WXRC: no I/O, no clock, no randomness, no async, no logging.

Aggregates, each a file that reads from top to bottom (states and transitions, events, `evolve`, commands and `decide`, `react`): `bot`,
`message`, `delivery`, `channel`, `operation`, `inbound`, `shard`. What is open, folded from all of them: `world` (shared: `view`; per
bot: `bot_world` with `message_queue` and `delivery_queue`; per channel: `endpoint`). Around them: `aggregate` (all at once), `puppet`
(what a WeChat client and the core say to each other), `boundary` (checks of what comes from outside), `log` and `codec` (what a store
keeps), `snapshot`, `effects`, `pace`, `timers`, `table`, `errors`.

Driving the core by hand, as `wxrc_gateway` does:

1. Fold. Hand every event of the log, in position order, to `World.fold(recorded, mono)`. `mono` is a clock in ms that is never set. The
   result says which loops to wake; while starting up, drop it. Before an event of a stream in `World.doubts`, call `World.recall` with
   its history.
2. Own. Append `ShardTaken` by way of the store; the new version of `shard/<n>` is your epoch. Fold up to that event, then call
   `World.bot_world(botcode).resume(epoch, mono)` for every bot of the shard.
3. Record. Ask `BotWorld.next_records(Moment(wall, mono))`. For each `Decide(stream, command)`: `aggregate.decide(state, command)` gives
   the events; append them with the stream's version and your fence; fold them; ask again. `Wait(ms)` and None say how long there is
   nothing to do.
4. Send. Ask `BotWorld.next_claim(now)`. For a `Claim`, append what `message.ClaimAttempt` leads to; ask `BotWorld.last_look`; tell
   `queue.pace.handed_over`; call your client once; append what `message.RecordOutcome` leads to. One at a time for each bot.
5. Run the client. `BotWorld.wanted_client()` says whether one is to run, which run it is, and whether it is to leave. Record each of
   its reports as `bot.TakeReport(run, report)`.
6. Tell channels. Ask `BotWorld.deliveries.next_post(chid, control, now, endpoint)`; post; record `delivery.RecordSuccess` or
   `RecordFailure`.

Every question is answered from what has been folded and changes nothing, so a crash between any two steps loses nothing: start again
at 1. `decide` raises `Refusal` and nothing else; `evolve` and `fold` raise nothing for an event that was written.
"""
