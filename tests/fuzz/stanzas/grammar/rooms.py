"""Rooms (XEP-0045): entering, talking, inviting, and what owners and admins do."""

from __future__ import annotations

from fuzz.stanzas.grammar.expand import get, put

MUC = "http://jabber.org/protocol/muc"


def form(kind: str, fields: str) -> str:
    return (f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MUC}#{kind}</value>"
            f"</field>{fields}</x>")


NICKNAME = "<field var='muc#register_roomnick'><value>{nick}</value></field>"


def message(payload: str, to: str = "to_own_room") -> str:
    """The template of a message that is no group message."""
    return f"<message xmlns='jabber:client' id='{{id}}'{{{to}}}>{payload}</message>"


PRODUCTIONS = {
    "join_child": ["<password>{text}</password>", "<history maxstanzas='{n}'/>", "<history maxchars='{n}'/>",
        "<history seconds='{n}'/>", "<history since='{date}'/>",
                   "<history maxstanzas='{n}' maxchars='{n}' seconds='{n}' since='{date}'/>", "{unknown}"],
    "config_field": [
        *[f"<field var='muc#roomconfig_{name}'><value>{{bool}}</value></field>" for name in (
            "persistentroom", "publicroom", "membersonly", "moderatedroom", "changesubject", "allowinvites",
            "allowmemberinvites", "enablelogging", "enablearchiving")],
        "<field var='muc#roomconfig_whois'><value>{whois}</value></field>",
        "<field var='muc#roomconfig_roomname'><value>{text}</value></field>",
        "<field var='muc#roomconfig_roomdesc'><value>{text}</value></field>",
        "<field var='muc#roomconfig_roomsecret'><value>{text}</value></field>",
        "<field var='muc#roomconfig_historylength'><value>{n}</value></field>",
        "<field var='muc#roomconfig_defaulthistorymessages'><value>{n}</value></field>",
        "<field var='muc#roomconfig_roomadmins'><value>{jid}</value><value>{jid}</value></field>",
        "<field var='muc#roomconfig_roomowners'><value>{jid}</value></field>",
        "<field var='muc#roomconfig_lang'><value>{text}</value></field>",
        "<field var='muc#roomconfig_allowpm'><value>{role}</value></field>",
        "<field var='urn:quobis:sippo:room#life'><value>{text}</value></field>",
        "<field var='muc#roomconfig_affiliationnotify'><value>{bool}</value></field>",
        "<field var='muc#roomconfig_presencebroadcast'><value>{role}</value></field>",
        "<field var='{text}'><value>{text}</value></field>", "<field/>",
    ],
    "whois": ["anyone", "moderators", "none", "{text}"],
    "admin_item": ["<item affiliation='{affiliation}' jid='{bare}'/>",
        "<item role='{role}' nick='{nick}'><reason>{text}</reason></item>",
        "<item affiliation='{affiliation}' jid='{jid}' nick='{nick}'/>",
                   "<item affiliation='{affiliation}'/>", "<item/>",
                   "<item role='{role}' affiliation='{affiliation}' jid='{jid}' nick='{nick}'><actor jid='{jid}'/></item>"],
    "invitee": ["<invite to='{jid}'><reason>{text}</reason></invite>", "<invite to='{bare}'/>", "<invite/>",
        "<invite to='{jid}'><continue thread='{text}'/></invite>", "<invite to='{bare}'>{deep}</invite>"],
    "voice_form": [form("request", "<field var='muc#role' type='list-single'><value>{role}</value></field>"), form("request", ""),
                   form("request",
                       "<field var='muc#role'><value>{role}</value></field><field var='muc#jid'>"
                           "<value>{jid}</value></field><field var='muc#roomnick'><value>{nick}"
                                   "</value></field><field var='muc#request_allow'><value>{bool}</value></field>"),
                   f"<x xmlns='jabber:x:data' type='{{text}}'><field var='FORM_TYPE'><value>{MUC}#request</value></field></x>"],
}

AREAS = {
    "entering": [
        *[f"<presence xmlns='jabber:client' id='{{id}}'{{to_own_occupant}}><x xmlns='{MUC}'/></presence>"] * 4,
            f"<presence xmlns='jabber:client' id='{{id}}'{{to_occupant}}><x xmlns='{MUC}'/></presence>",
        f"<presence xmlns='jabber:client' id='{{id}}'{{to_own_occupant}}>"
            f"<x xmlns='{MUC}'>{{join_child*}}</x>{{presence_child*}}</presence>",
        "<presence xmlns='jabber:client' id='{id}'{to_occupant}>{presence_child*}</presence>",
        f"<presence xmlns='jabber:client' id='{{id}}'{{to_occupant}}><x xmlns='{MUC}'>{{join_child*}}</x></presence>",
        "<presence xmlns='jabber:client' id='{id}' type='unavailable'{to_own_occupant}><status>{text}</status></presence>",
        f"<presence xmlns='jabber:client' id='{{id}}'{{to_room}}><x xmlns='{MUC}'/></presence>",
        "<presence xmlns='jabber:client' id='{id}' type='subscribe'{to_room}/>",
        "<presence xmlns='jabber:client' id='{id}' type='error'{to_occupant}>{error}</presence>",
        "<presence xmlns='jabber:client' id='{id}'{to_own_occupant}>{presence_child*}{forgery}</presence>",
    ],
    "talking": [
        *["<message xmlns='jabber:client' type='groupchat' id='{id}'{to_own_room}>{body}{extension*}</message>"] * 4,
            "<message xmlns='jabber:client' type='groupchat' id='{id}'{to_room}>{body}{forgery}</message>",
        "<message xmlns='jabber:client' type='groupchat' id='{id}'{to_own_room}>{body}{forgery}</message>",
        "<message xmlns='jabber:client' type='groupchat' id='{id}'{to_own_room}><subject>{text}</subject></message>",
        "<message xmlns='jabber:client' type='groupchat' id='{id}'{to_own_room}><subject/></message>",
        "<message xmlns='jabber:client' type='chat' id='{id}'{to_occupant}>{body}{extension*}</message>",
        "<message xmlns='jabber:client' type='{message_type}' id='{id}'{to_occupant}>{body}{forgery*}</message>",
        "<message xmlns='jabber:client' type='groupchat' id='{id}'{to_occupant}>{body}</message>",
        "<message xmlns='jabber:client' type='error' id='{id}'{to_occupant}>{error}</message>",
        "<message xmlns='jabber:client' type='{message_type}' id='{id}'{to_room}>{body?}{extension*}</message>",
    ],
    "inviting": [
        message(f"<x xmlns='{MUC}#user'>{{invitee}}</x>"),
        message(f"<x xmlns='{MUC}#user'>{{invitee*}}<password>{{text}}</password></x>", "to_room"),
        message(f"<x xmlns='{MUC}#user'><decline to='{{jid}}'><reason>{{mark}}</reason></decline></x>", "to_room"),
        message(f"<x xmlns='{MUC}#user'><decline/></x>"), message("{voice_form}"), message("{voice_form}", "to_room"),
        message("<x xmlns='jabber:x:conference' jid='{room}' reason='{text}'/>", "to_user"),
        message(f"<x xmlns='{MUC}#user'>{{invitee}}<status code='{{code}}'/></x>", "to_occupant"),
        message("{voice_form}{body}", "to_occupant"), message("{unknown}", "to_own_room"),
    ],
    "owning": [
        get(f"<query xmlns='{MUC}#owner'/>", "to_own_room"), get(f"<query xmlns='{MUC}#owner'/>", "to_room"),
        *[put(f"<query xmlns='{MUC}#owner'>{form('roomconfig', '{config_field*}{config_field*}')}</query>",
        "to_own_room")] * 3,
        put(f"<query xmlns='{MUC}#owner'>{form('roomconfig', '{config_field}')}</query>", "to_room"),
        put(f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", "to_own_room"),
        put(f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='cancel'/></query>", "to_own_room"),
        put(f"<query xmlns='{MUC}#owner'><destroy jid='{{room}}'><reason>{{text}}</reason><password>{{text}}</password>"
            "</destroy></query>", "to_own_room"),
        put(f"<query xmlns='{MUC}#owner'><destroy/></query>", "to_room"),
        put("<ensure xmlns='urn:quobis:sippo:room:0' life='{n}.1/a'/>", "to_room"),
        put("<destroy xmlns='urn:quobis:sippo:room:0' ended='{n}.2/b'/>", "to_room"),
        put("<admit xmlns='urn:quobis:sippo:room:0' life='{n}.1/a'>{admin_item*}</admit>", "to_room"),
        get(f"<query xmlns='{MUC}#unique'/>", "to_host"), get("<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "to_room"),
        get("<query xmlns='http://jabber.org/protocol/disco#items'/>", "to_room"),
        put(f"<query xmlns='{MUC}#owner'>{{unknown}}</query>", "to_own_room"),
    ],
    "administering": [
        put(f"<query xmlns='{MUC}#admin'>{{admin_item}}</query>", "to_own_room"),
        put(f"<query xmlns='{MUC}#admin'>{{admin_item*}}{{admin_item*}}</query>", "to_own_room"),
        put(f"<query xmlns='{MUC}#admin'>{{admin_item}}</query>", "to_room"),
        get(f"<query xmlns='{MUC}#admin'><item affiliation='{{affiliation}}'/></query>", "to_own_room"),
        get(f"<query xmlns='{MUC}#admin'><item affiliation='{{affiliation}}'/></query>", "to_room"),
        get(f"<query xmlns='{MUC}#admin'><item role='{{role}}'/></query>", "to_own_room"),
        get(f"<query xmlns='{MUC}#admin'/>", "to_own_room"), get("<query xmlns='jabber:iq:register'/>", "to_room"),
        put(f"<query xmlns='jabber:iq:register'>{form('register', NICKNAME)}</query>", "to_own_room"),
        put("<query xmlns='jabber:iq:register'><remove/></query>", "to_own_room"),
        put(f"<query xmlns='jabber:iq:register'>{form('register', '{config_field*}')}</query>", "to_room"),
        put("<moderate xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/></moderate>",
        "to_own_room"), get("<ping xmlns='urn:xmpp:ping'/>", "to_own_occupant"),
        get("<ping xmlns='urn:xmpp:ping'/>", "to_occupant"), get("{unknown}", "to_occupant"),
    ],
}
