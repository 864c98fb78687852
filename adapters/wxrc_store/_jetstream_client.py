"""The client of a NATS server, with what its library does not do well."""

from typing import Any

import nats.aio.client


class Client(nats.aio.client.Client):
    """The client, with two things that it does not do well; were they gone from a later release, it would only be slower and less tidy."""

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """Take headers apart, faster: a page of the log spends most of its time there."""
        lines = (line.partition(b":") for line in raw.split(b"\r\n"))
        return {
            name.decode("utf-8", "replace"): value.strip().decode("utf-8", "replace")
            for name, _, value in lines
            if name
        }

    def disconnect(self) -> None:
        """Close the connection to a server that took it and said nothing."""
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]

    async def _connect_to_server(self, server: Any) -> None:
        """Connect to the next server."""
        self.disconnect()
        await super()._connect_to_server(server)
