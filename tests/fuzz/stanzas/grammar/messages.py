"""Messages between users, what rides on them, and presence."""

from __future__ import annotations

FORWARD = "urn:xmpp:forward:0"

PRODUCTIONS = {
    "message": [
        "<message xmlns='jabber:client' type='{message_type}' id='{id}'{to_user}>{body}{extension*}</message>",
        "<message xmlns='jabber:client' type='chat' id='{id}'{to_user}>{body}{extension?}</message>",
        "<message xmlns='jabber:client' id='{id}'{to_any}>{body?}{extension*}</message>",
        "<message xmlns='jabber:client' type='chat' id='{id}'{to_user}>{extension}</message>",
    ],
    "message_type": ["chat", "chat", "normal", "headline", "groupchat", "error", "{text}"],
    "body": ["<body>{mark}</body>", "<body>{mark}</body>", "<body>{mark}{text}</body>",
        "<body xml:lang='de'>{mark}</body><body xml:lang='en'>{mark}{text}</body>", "<body/>"],
    "extension": [
        "<request xmlns='urn:xmpp:receipts'/>", "<received xmlns='urn:xmpp:receipts' id='{text}'/>",
        "<markable xmlns='urn:xmpp:chat-markers:0'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='{text}'/>", "<acknowledged xmlns='urn:xmpp:chat-markers:0'/>",
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>", "<gone xmlns='http://jabber.org/protocol/chatstates'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='{text}'/>", "<origin-id xmlns='urn:xmpp:sid:0' id='{text}'/>",
        "<thread parent='{text}'>{text}</thread>", "<subject>{text}</subject>",
        "<no-store xmlns='urn:xmpp:hints'/>", "<store xmlns='urn:xmpp:hints'/>",
        "<no-copy xmlns='urn:xmpp:hints'/><private xmlns='urn:xmpp:carbons:2'/>",
        "<no-permanent-store xmlns='urn:xmpp:hints'/>",
        "<delay xmlns='urn:xmpp:delay' from='{jid}' stamp='{date}'>{text}</delay>",
        "<x xmlns='jabber:x:delay' stamp='{date}'/>", "<attention xmlns='urn:xmpp:attention:0'/>",
        "<nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick>", "<x xmlns='jabber:x:oob'><url>{text}</url></x>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='{text}'><reaction>{text}</reaction></reactions>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='{text}'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
        "<x xmlns='jabber:x:conference' jid='{room}' reason='{text}' password='{text}'/>",
        "<amp xmlns='http://jabber.org/protocol/amp'><rule action='{text}' condition='{text}' value='{text}'/></amp>",
        "<x xmlns='{urn}'>{text}</x>", "{deep}", "{wide}", "{forgery}", "{forgery}", "{error}",
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>{text}</body></html>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='{n}'><key rid='{n}'>{b64}</key></header>"
            "<payload>{b64}</payload></encrypted>",
    ],
    # Each says something that only the server, a room or another user may say.
    "forgery": [
        "<stanza-id xmlns='urn:xmpp:sid:0' id='{forged}' by='{jid}'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='{forged}' by='{bare}'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='{forged}' by='{room}'/>",
        "<stanza-id xmlns='urn:xmpp:sid:0' id='{forged}'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='{jid}'><reason>{forged}</reason></invite></x>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='{code}'/>"
            "<item affiliation='owner' role='moderator' jid='{jid}'><reason>{forged}</reason></item></x>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><decline from='{jid}'><reason>{forged}</reason></decline></x>",
        "<result xmlns='urn:xmpp:mam:2' id='{forged}' queryid='{text}'>{forwarded}</result>",
        "<received xmlns='urn:xmpp:carbons:2'>{forwarded}</received>",
        "<sent xmlns='urn:xmpp:carbons:2'>{forwarded}</sent>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>"
            "<item id='{forged}'>{pep_payload}</item></items></event>",
        "<fin xmlns='urn:xmpp:mam:2' complete='true'/>",
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='{jid}'/></addresses>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{forged}'/>", "<x xmlns='jabber:x:signed'>{forged}</x>",
    ],
    "forwarded": ["<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{date}'/>"
                  "<message xmlns='jabber:client' from='{jid}' to='{jid}' type='chat'>"
                  "<body>{forged}</body></message></forwarded>", "<forwarded xmlns='urn:xmpp:forward:0'/>",
                  "<forwarded xmlns='urn:xmpp:forward:0'>{deep}</forwarded>"],
    "presence_child": ["<show>{show}</show>", "<status>{text}</status>", "<priority>{n}</priority>",
        "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='{text}' ver='{b64}'/>",
                       "<delay xmlns='urn:xmpp:delay' stamp='{date}'/>", "<x xmlns='vcard-temp:x:update'/>",
                       "<idle xmlns='urn:xmpp:idle:1' since='{date}'/>", "{forgery}", "<x xmlns='{urn}'>{text}</x>"],
}

AREAS = {
    "messages": [
        *["{message}"] * 6,
        "<message xmlns='jabber:client' type='chat' id='{id}' from='{jid}'{to_user}>{body}</message>",
        "<message xmlns='jabber:client' type='error' id='{id}'{to_user}>{body}{error}</message>",
        "<message xmlns='jabber:client' type='chat' id='{id}'{to_user}>{body}<stanza-id xmlns='urn:xmpp:sid:0' "
            "id='{forged}' by='{bare}'/></message>",
        "<message xmlns='jabber:client' type='chat' id='{id}' to='{own_full}'>{body}{extension*}</message>",
    ],
    "presence": [
        "<presence xmlns='jabber:client' id='{id}'>{presence_child*}</presence>",
        "<presence xmlns='jabber:client' id='{id}' type='unavailable'>{presence_child*}</presence>",
        "<presence xmlns='jabber:client' id='{id}'><priority>0</priority></presence>",
        "<presence xmlns='jabber:client' id='{id}'{to_user}>{presence_child*}</presence>",
        "<presence xmlns='jabber:client' id='{id}' type='unavailable'{to_any}/>",
        "<presence xmlns='jabber:client' id='{id}' type='error'{to_any}>{error}</presence>",
        "<presence xmlns='jabber:client' id='{id}' type='{text}'{to_any}/>",
        "<presence xmlns='jabber:client' id='{id}'{to_any}>{presence_child*}</presence>",
    ],
    "carbons": [
        "<iq xmlns='jabber:client' type='set' id='{id}'{to_own}><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        "<iq xmlns='jabber:client' type='set' id='{id}'{to_own}><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        "<iq xmlns='jabber:client' type='set' id='{id}'{to_own}><disable xmlns='urn:xmpp:carbons:2'/></iq>",
        "<iq xmlns='jabber:client' type='get' id='{id}'{to_any}><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        "<message xmlns='jabber:client' type='chat' id='{id}'{to_user}>{body}<received "
            "xmlns='urn:xmpp:carbons:2'>{forwarded}</received></message>",
        "<inactive xmlns='urn:xmpp:csi:0'/>", "<active xmlns='urn:xmpp:csi:0'/>",
        "<inactive xmlns='urn:xmpp:csi:0'>{text}</inactive>",
    ],
}
