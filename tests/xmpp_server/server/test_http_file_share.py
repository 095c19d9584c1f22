"""mod_sippo_http_file_share_limits and …_download: what a slot may say, and how its file comes back (XEP-0363, RFC 9110)."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import httpx
import pytest

from support.uploads import UPLOAD, new_slot, request_slot
from support.xmpp import STANZA_ERRORS, error_condition

CONTENT = bytes(range(256)) * 40
LENGTH = len(CONTENT)
SLOTS = 5


@pytest.fixture(scope="module")
def alice(server, two_tenants):
    with server.user(f"files@{two_tenants[0]}") as client:
        yield client


@pytest.fixture(scope="module")
def stored(alice):
    slot = new_slot(alice, LENGTH, "clip.mp4", content_type="video/mp4")
    assert slot.upload(CONTENT).status_code == 201
    return slot


def refused(alice, **attributes: str) -> str | None:
    """The condition of the refusal, which has a text; None if a slot comes."""
    reply = request_slot(alice, check=False, **attributes)
    condition = error_condition(reply)
    assert condition is None or reply.findtext(f".//{{{STANZA_ERRORS}}}text")
    return condition


# Metadata

GOOD_TYPES = ["text/plain", "image/svg+xml", "text/plain;charset=utf-8", 'text/plain; charset="a \\" b"; format=flowed',
              "application/vnd.oasis.opendocument.text", "audio/ogg ; codecs=opus", "text/plain;", "x/y;a=b ;c=d"]
BAD_TYPES = ["text/html\r\n\r\n<script>alert(1)</script>", "text/html\nX-A: b", "text", "text/", "/plain", "text/pl ain",
             "text/plain\t", "text/plain;charset", 'text/plain;charset="open', "text/plain;charset=", "téxt/plain",
             "text/plain; charset=\x7f", "text/plain, text/html", 'x/y;a="b\r\n"', "x/" + "y" * 300, "", " text/plain"]


@pytest.mark.parametrize("content_type", GOOD_TYPES)
def test_a_media_type_is_taken_and_comes_back(alice, content_type):
    slot = new_slot(alice, 3, content_type=content_type)
    assert slot.upload(b"abc").status_code == 201
    assert slot.fetch().headers["content-type"] == content_type


@pytest.mark.parametrize("content_type", BAD_TYPES)
def test_what_is_no_media_type_is_refused(alice, content_type):
    assert refused(alice, filename="a", size="3", content_type=content_type) == "bad-request"


@pytest.mark.parametrize("size", ["", "-1", "+3", "1.0", "1e3", "0x10", " 3", "3\n", "nan", "inf", "٣"])
def test_a_size_is_plain_digits(alice, size):
    assert refused(alice, filename="a", size=size) == "bad-request"


@pytest.mark.parametrize("name", ["", "a\nb", "a\tb", "a\x7fb", "a\u0085b", "a/b", ".", "..", "n" * 256, "é" * 128])
def test_a_name_is_short_and_has_no_control_characters(alice, name):
    assert refused(alice, filename=name, size="3") == "bad-request"


@pytest.mark.parametrize("name", ["n" * 255, "Ünïcode ☺.txt", 'quote".txt', "a;b.txt", "50%.txt", "...", "a b"])
def test_other_names_come_back(alice, name):
    slot = new_slot(alice, 3, name)
    assert slot.upload(b"abc").status_code == 201
    disposition = slot.fetch().headers["content-disposition"]
    assert httpx.URL("http://x/?" + disposition.partition("UTF-8''")[2]).query.decode() and '"' not in disposition


def test_attributes_that_are_missing(alice):
    assert refused(alice, size="3") == "bad-request"
    assert refused(alice, filename="a") == "bad-request"


STORED_UNCHECKED = [{"content-type": "text/html\r\nX-Evil: 1\r\n\r\n<script>"}, {"content-type": "text"},
                    {"filename": "a\r\nb"}, {"size": "3\r\nX-Evil: 1"}]


def test_slots_that_were_stored_without_a_check_are_not_served(new_server, unique_domain):
    server = new_server().start()
    with server.user(f"alice@{server.create_host(unique_domain())}") as alice:
        slots = [new_slot(alice, 3, "old.txt", content_type="text/plain") for _ in (*STORED_UNCHECKED, "sound")]
    for slot in slots:
        assert slot.upload(b"abc").status_code == 201
    server.restart()  # what it has in memory is sound
    with server.database() as database:
        for slot, attributes in zip(slots, STORED_UNCHECKED, strict=False):
            given = {"filename": "old.txt", "size": "3", "content-type": "text/plain", **attributes}
            text = " ".join(f"{name}={quoteattr(value)}" for name, value in given.items())
            identifier = httpx.URL(slot.get).path.split("/")[-2]
            changed = database.execute("UPDATE prosodyarchive SET value = ? WHERE key = ?",
                                       (f"<request xmlns='{UPLOAD}' {text}/>", identifier))
            assert changed.rowcount == 1
    assert slots[-1].fetch().status_code == 200
    for slot in slots[:-1]:
        answer = slot.fetch()
        assert answer.status_code == 404
        assert "x-evil" not in answer.headers and b"<script>" not in answer.content


# Counts


def test_slots_of_one_user_end_at_some_number(new_server, unique_domain):
    server = new_server(extra={"UPLOAD_DAILY_SLOTS": str(SLOTS)}).start()
    home = server.create_host(unique_domain())
    with server.user(f"alice@{home}") as alice, server.user(f"bob@{home}") as bob:
        for _ in range(SLOTS):
            assert refused(alice, filename="a", size="0") is None
        assert refused(alice, filename="a", size="0") == "resource-constraint"
        assert refused(bob, filename="a", size="0") is None


def chunks():
    yield CONTENT


def test_an_upload_without_a_length_is_refused_before_it_is_stored(server, alice):
    slot = new_slot(alice, LENGTH)
    answer = httpx.put(slot.put, content=chunks(), headers=slot.headers, trust_env=False)
    assert answer.status_code == 411
    assert slot.fetch().status_code == 410
    assert slot.upload(CONTENT).status_code == 201


def test_an_empty_file(alice):
    slot = new_slot(alice, 0)
    assert slot.upload(b"").status_code == 201
    answer = slot.fetch()
    assert (answer.status_code, answer.content) == (200, b"")
    assert slot.fetch(Range="bytes=0-").status_code == 416


# Ranges


@pytest.mark.parametrize("asked, first, last", [
    ("bytes=0-1", 0, 1), ("bytes=0-", 0, LENGTH - 1), ("bytes=-5", LENGTH - 5, LENGTH - 1), ("bytes=100-", 100, LENGTH - 1),
    (f"bytes=100-{LENGTH - 1}", 100, LENGTH - 1), (f"bytes=0-{LENGTH - 1}", 0, LENGTH - 1), ("bytes=0-0", 0, 0),
    (f"bytes={LENGTH - 1}-", LENGTH - 1, LENGTH - 1), ("bytes=5-999999999999999999999999", 5, LENGTH - 1),
    (f"bytes=-{LENGTH * 2}", 0, LENGTH - 1), ("Bytes=9000-9999", 9000, 9999)])
def test_a_range_that_can_be_had(stored, asked, first, last):
    answer = stored.fetch(Range=asked)
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{LENGTH}"
    assert answer.content == CONTENT[first:last + 1]
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", [f"bytes={LENGTH}-", "bytes=-0", "bytes=5-4", "bytes=99999999999999999999-", "bytes=-",
                                   "bytes=", "bytes=a-b", "bytes=1--2"])
def test_a_range_that_cannot_be_had(stored, asked):
    answer = stored.fetch(Range=asked)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{LENGTH}"


@pytest.mark.parametrize("method, headers", [
    ("GET", {}), ("GET", {"Range": "lines=1-2"}), ("GET", {"Range": "bytes=0-1,4-5"}), ("HEAD", {"Range": "bytes=0-1"}),
    ("GET", {"Range": "bytes=0-1", "If_Range": '"another"'}), ("GET", {"Range": "bytes=0-1", "If_Range": "Thu, 01 Jan 1970"})])
def test_all_of_it(stored, method, headers):
    answer = stored.fetch(method, **headers)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(LENGTH)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.content == (b"" if method == "HEAD" else CONTENT)


def test_conditions(stored):
    whole = stored.fetch()
    tag, modified = whole.headers["etag"], whole.headers["last-modified"]
    for condition in (tag, modified):
        assert stored.fetch(Range="bytes=0-1", If_Range=condition).status_code == 206
    for known in ({"If_None_Match": tag}, {"If_None_Match": f'"x", W/{tag}'}, {"If_None_Match": "*"},
                  {"If_Modified_Since": modified}):
        answer = stored.fetch(**known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert stored.fetch(If_None_Match='"x"', If_Modified_Since=modified).status_code == 200


def test_pages_of_others_may_read_but_not_with_credentials(stored):
    answer = stored.fetch(Origin="https://other.example")
    assert answer.headers["access-control-allow-origin"] == "*"  # it is cached for all pages alike
    assert "access-control-allow-credentials" not in answer.headers
    preflight = httpx.options(stored.put, headers={"Origin": "https://other.example"}, trust_env=False)
    assert "access-control-allow-credentials" not in preflight.headers
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()


def test_what_is_not_there(alice, stored):
    assert new_slot(alice, 3).fetch().status_code == 410
    parts = stored.get.split("/")
    assert httpx.get("/".join([*parts[:-2], "nothing", parts[-1]]), trust_env=False).status_code == 404
