"""A sentence in the two languages that WXRC speaks."""

from typing import NamedTuple


class LocalizedText(NamedTuple):
    """A sentence in both languages; `{...}` are filled in."""

    zh: str
    en: str

    def filled(self, **values: object) -> "LocalizedText":
        """Return it with its `{...}` filled in, in both languages."""
        return LocalizedText(self.zh.format_map(values), self.en.format_map(values))
