"""Messages to users who are offline, between two users who logged in over REST."""

from support.xmpp import Client, body


def connect(api, token: str) -> Client:
    """A session by what login returned."""
    login = api.login(token)
    return Client(login["xmppUrl"], login["jid"], login["token"]).connect()


def test_a_message_to_an_offline_user_is_delivered_when_she_logs_in(api, user, token, token_for):
    friend = f"friend-{user}"
    with connect(api, token) as sender:
        sender.presence()
        for text in ("first", "second"):
            sender.message(friend, text)
        sender.sync()
    with connect(api, token_for(friend)) as receiver:
        receiver.presence()
        received = [receiver.wait_message() for _ in range(2)]
        assert [body(message) for message in received] == ["first", "second"]
        assert all(message.get("from").startswith(f"{user}/") for message in received)
        assert all(message.find("{urn:xmpp:delay}delay") is not None for message in received)
    with connect(api, token_for(friend)) as again:
        again.presence()
        again.sync()
        assert again.messages() == []
