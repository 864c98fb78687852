"""The pure core of WXRC: no I/O, no clock, no randomness, no async, no logging.

- `bot`, `message`: the two aggregates that carry the product. Beside them `operation`, `inbound`, `channel`, `delivery`.
  Each file has the states as a table, the events, `decide`, `evolve` and, where something follows from an event, `react`.
- `world`: everything that is open, folded from the log; `effects`: what a runner must do.
- `aggregate`: all aggregates at once, for runners that treat every stream alike.
- `puppet`: what the core and a WeChat client say to each other. `log`: what a store keeps. `codec`: events to bytes and back.
- `pace`: how much a bot may send. `table`: from the declared state graph to the one the hot path uses. `errors`: what is raised.
"""
