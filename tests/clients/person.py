"""A user in front of a page with the guide's samples."""

from __future__ import annotations

from typing import Any

from support.devtools import Page
from support.platform import Platform


class Person:
    """Their page, and what they know of themselves."""

    def __init__(self, platform: Platform, page: Page, jid: str) -> None:
        self.platform, self.page, self.jid = platform, page, jid
        self.name, _, self.domain = jid.rpartition("@")

    def access_token(self, **options: Any) -> str:
        """As the platform gives it."""
        return self.platform.stack.issuer.token(self.name, self.domain, ["chat"], **options)

    def log_in(self, **options: Any) -> Person:
        """Opens a session as the guide says, until the page is told that it is online."""
        self.page.run("""
            window.token = token;
            window.login = guide.makeLogin(url, async () => window.token);
            session = await guide.connect(() => window.login(), handlers, options);
            await wait(() => counts.online === 1);
            await ping();
        """, url=self.platform.stack.functions.url, token=self.access_token(), options=options)
        return self

    def run(self, code: str, **values: Any) -> Any:
        """Code in the page, with `values`; `timeout` in seconds."""
        return self.page.run(code, **values)

    def wait(self, condition: str, **values: Any) -> Any:
        """Until it is so in the page."""
        return self.page.wait(condition, **values)

    def wait_body(self, text: str) -> None:
        """Until a message with this text has come."""
        self.wait("bodies().includes(text)", text=text)

    def say(self, to: Person, text: str) -> None:
        """Sends a chat message; returns when the server has handled it."""
        self.run("""
            await session.send(guide.xml`<message xmlns="jabber:client" type="chat" to="${to}"><body>${text}</body></message>`);
            await ping();
        """, to=to.jid, text=text)
