"""Uploads (XEP-0363) and whatever else the HTTP port takes."""

from __future__ import annotations

from typing import Any

from fuzz.stanzas.dice import Dice
from fuzz.stanzas.grammar.expand import Productions, expand
from fuzz.stanzas.places import HOME

UPLOAD = "urn:xmpp:http:upload:0"
SLOT = (f"<iq xmlns='jabber:client' type='get' id='{{id}}'{{to_home}}><request xmlns='{UPLOAD}'%s/></iq>")
ATTRIBUTES = ["filename='{file_name}'", "size='{size}'", "content-type='{media}'"]

PRODUCTIONS = {
    "file_name": ["note.txt", "a.html", "Bild ü.png", "{text}", "..", "a/b", "a%00b", "x.svg"],
    "size": ["10", "300", "1", "70000", "{n}", "10485760", "10485761"],
    "path": ["%get%", "%put%", f"/file_share/{HOME}/none/x", f"/file_share/{HOME}/%2e%2e/%2e%2e/prosody.sqlite",
        "/file_share/other.example/x/y", "/xmpp-websocket",
             "/quobis_virtualhosts/virtualhost", "/quobis_virtualhosts/virtualhost/other.example",
             "/quobis_virtualhosts/health", "/", "*", "//", "/http-bind", "/.well-known/host-meta", "/%ff%00",
             "http://evil.example/xmpp-websocket", "/xmpp-websocket?{uri}", "/file_share/home.example/{uri}", "{uri}", "/%get%"],
    "uri": ["a", "%0d%0aX-Forged:%20yes", "a%20b", "%", "%zz", "x" * 9000, "a;b=c", "..%2f..%2f", "%c3%28"],
    "method": ["GET", "GET", "HEAD", "PUT", "POST", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "G E T", "X" * 300],
    "header": ["Range: {range}", "Origin: https://evil.example", "Authorization: %slotauth%", "Authorization: Bearer {uri}",
        "Content-Length: {n}", "Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue",
               "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: xmpp", "Sec-WebSocket-Protocol: x",
               "X-Forwarded-For: {jid}",
               "Host: evil.example", "If-None-Match: *", "If-Modified-Since: {date}", "Content-Type: {media_plain}",
               "Cookie: a=b", ": x", "X", "X: " + "y" * 9000, "Accept-Encoding: gzip", "Authorization: Basic {b64}"],
    "media_plain": ["application/json", "text/plain", "x"],
    "range": ["bytes=0-1", "bytes=-5", "bytes=0-", "bytes=5-2", "bytes=0-0,2-3", "bytes=9999999999999999999999-", "bytes=-0",
        "bytes=--1", "bytes=a-b", "bytes=0-99999", "octets=0-1", "bytes=", "bytes = 0-1", "bytes=1-1"],
    "http_body": ["", "", "hello", '{"domain":"forged.example"}', "[" * 5000, "5\r\nhello\r\n0\r\n\r\n", "ffffffff\r\nx"],
}


def upload(dice: Dice, productions: Productions) -> dict[str, Any]:
    """A slot, what is put into it, how it is fetched."""
    chosen = ATTRIBUTES[:2] + ATTRIBUTES[2:] * dice.chance(0.8)
    if dice.chance(0.1):
        chosen.remove(dice.choice(chosen))
    attributes = "".join(f" {one}" for one in chosen)
    return {
        "request": expand(SLOT % attributes, dice, productions),
        "put": expand("{uri}", dice, productions)[:100] if dice.chance(0.1) else "",
        "short": dice.chance(0.1), "twice": dice.chance(0.1),
        "ranges": [expand("{range}", dice, productions) for _ in range(dice.randrange(3))],
        "method": dice.choice(["GET", "GET", "HEAD", "OPTIONS"]),
    }


def http(dice: Dice, productions: Productions) -> dict[str, Any]:
    """One request, well-formed or not."""
    body = expand("{http_body}", dice, productions)
    headers = [expand("{header}", dice, productions) for _ in range(dice.randrange(5))]
    if dice.chance(0.8):
        headers.append("Host: localhost")
    if body and dice.chance(0.8):
        headers.append(f"Content-Length: {len(body)}")
    end = dice.choice(["\r\n", "\r\n", "\r\n", "\r\n", "\n"])
    start = expand("{method} {path} ", dice, productions) + dice.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", ""])
    text = end.join([start, *headers, "Connection: close", "", body])
    return {"request": text if dice.chance(0.9) else text[:dice.randrange(len(text))]}
