"""What a user keeps at the server: roster, private XML, vCard, PEP, bookmarks, block list, archive, push registrations."""

from __future__ import annotations

from fuzz.stanzas.grammar.expand import get, put

ROSTER, PRIVATE, BLOCKING = "jabber:iq:roster", "jabber:iq:private", "urn:xmpp:blocking"
PUBSUB, MAM, RSM, DATA = "http://jabber.org/protocol/pubsub", "urn:xmpp:mam:2", "http://jabber.org/protocol/rsm", "jabber:x:data"
PUSH = "urn:xmpp:push:0"

PRODUCTIONS = {
    "roster_item": [
        "<item jid='{bare}' name='{text}' subscription='{subscription}'>{group*}</item>",
        "<item jid='{bare}' name='{text}'>{group*}</item>", "<item jid='{bare}' subscription='remove'/>", "<item jid='{jid}'/>",
        "<item/>", "<item jid='{bare}' ask='subscribe' approved='{bool}'><group/><group>{text}</group><x xmlns='urn:x'/></item>",
    ],
    "group": ["<group>{text}</group>", "<group>individualChatList</group>"],
    "private_element": ["<a xmlns='{urn}'>{text}</a>", "<storage xmlns='storage:bookmarks'>{old_bookmark*}</storage>",
                        "<storage xmlns='storage:rosternotes'><note jid='{jid}'>{text}</note></storage>", "{deep}", "<a/>"],
    "old_bookmark": ["<conference jid='{room}' name='{text}' autojoin='{bool}'><nick>{nick}</nick>"
                     "<password>{text}</password></conference>",
                     "<conference/>", "<url url='{text}' name='{text}'/>", "<conference jid='{jid}' autojoin='{text}'/>"],
    "bookmark": ["<conference xmlns='urn:xmpp:bookmarks:1' name='{text}' autojoin='{bool}'><nick>{nick}</nick>"
                 "<extensions><e xmlns='{urn}'>{text}</e></extensions></conference>",
                 "<conference xmlns='urn:xmpp:bookmarks:1'/>", "<no-conference xmlns='urn:x'/>",
                 "<conference xmlns='urn:x' name='{text}'/>"],
    "vcard_field": ["<FN>{text}</FN>", "<N><FAMILY>{text}</FAMILY><GIVEN/></N>", "<NICKNAME>{nick}</NICKNAME>",
                    "<PHOTO><TYPE>{media}</TYPE><BINVAL>{b64}</BINVAL></PHOTO>", "<PHOTO><BINVAL/></PHOTO>",
                    "<PHOTO><EXTVAL>{text}</EXTVAL></PHOTO>",
                    "<EMAIL><INTERNET/><USERID>{text}</USERID></EMAIL>", "<ADR><HOME/><STREET>{text}</STREET></ADR>",
                    "<TEL><WORK/></TEL>",
                    "<BDAY>{date}</BDAY>", "<DESC>{text}</DESC>", "<JABBERID>{jid}</JABBERID>", "<X-FORGED>{text}</X-FORGED>"],
    "vcard4_field": ["<fn><text>{text}</text></fn>", "<n><surname>{text}</surname><given/></n>",
        "<photo><uri>data:image/png;base64,{b64}</uri></photo>",
                     "<photo/>", "<email><parameters><type><text>home</text></type></parameters><text>{text}</text></email>",
                     "<adr><street>{text}</street></adr>", "<note><text/></note>", "<bday><date>{date}</date></bday>",
                     "<impp><uri>xmpp:{jid}</uri></impp>"],
    "pep_payload": ["<data xmlns='urn:xmpp:avatar:data'>{b64}</data>",
                    "<metadata xmlns='urn:xmpp:avatar:metadata'>"
                        "<info bytes='{n}' id='{text}' type='{media}' width='{n}' height='{n}'/></metadata>",
                    "<metadata xmlns='urn:xmpp:avatar:metadata'/>", "<nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick>",
                    "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>{vcard4_field*}</vcard>",
                    "<tune xmlns='http://jabber.org/protocol/tune'><title>{text}</title></tune>",
                    "<list xmlns='eu.siacs.conversations.axolotl'><device id='{n}'/></list>", "{bookmark}", "{deep}",
                    "{wide}", "<x xmlns='{urn}'>{text}</x>"],
    "item": ["<item id='{text}'>{pep_payload}</item>", "<item id='current'>{pep_payload}</item>",
        "<item>{pep_payload}</item>", "<item id='{text}'/>",
             "<item id='{room}'>{bookmark}</item>", "<item id='{text}'>{pep_payload}{pep_payload}</item>"],
    "options": ["<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
                "<value>http://jabber.org/protocol/"
                "pubsub#publish-options</value></field>{pubsub_field*}</x></publish-options>", "<publish-options/>",
                "<publish-options><x xmlns='jabber:x:data' type='cancel'/></publish-options>"],
    "pubsub_field": ["<field var='pubsub#max_items'><value>{n}</value></field>",
        "<field var='pubsub#max_items'><value>max</value></field>",
                     "<field var='pubsub#access_model'><value>{access}</value></field>",
                     "<field var='pubsub#persist_items'><value>{bool}</value></field>",
                     "<field var='pubsub#send_last_published_item'><value>{text}</value></field>",
                     "<field var='pubsub#notify_delete'><value>{bool}</value></field>",
                     "<field var='{text}'><value>{text}</value><value>{n}</value></field>", "<field/>",
                     "<field var='pubsub#item_expire'><value>{n}</value></field>",
                     "<field var='pubsub#title'><value>{text}</value></field>"],
    "access": ["open", "presence", "roster", "whitelist", "authorize", "forged"],
    "rsm": ["<set xmlns='http://jabber.org/protocol/rsm'>{rsm_part*}</set>",
        "<set xmlns='http://jabber.org/protocol/rsm'><max>{n}</max></set>"],
    "rsm_part": ["<max>{n}</max>", "<before/>", "<before>{archived}</before>", "<after>{archived}</after>",
        "<index>{n}</index>", "<after/>", "<first index='{n}'/>"],
    "archived": ["%archived%", "{text}", "{n}"],
    "mam_form": ["<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value>"
                 "</field>{mam_field*}</x>",
                 "<x xmlns='jabber:x:data' type='{text}'/>", "<x xmlns='jabber:x:data' type='submit'>{mam_field*}</x>"],
    "mam_field": ["<field var='with'><value>{jid}</value></field>", "<field var='start'><value>{date}</value></field>",
        "<field var='end'><value>{date}</value></field>",
                  "<field var='ids'><value>{archived}</value><value>{archived}</value></field>",
                  "<field var='before-id'><value>{archived}</value></field>",
                  "<field var='after-id'><value>{archived}</value></field>",
                  "<field var='{text}'><value>{text}</value></field>", "<field var='start'/>",
                  "<field var='include-groupchat'><value>{bool}</value></field>"],
    "blocked": ["<item jid='{bare}'/>", "<item jid='{jid}'/>", "<item/>", "<item jid='{occupant}'/>", "<item jid='{host}'/>"],
    "push_service": ["push.example", "push.home.example", "{jid}"],
}


def pubsub(payload: str, owner: bool = False) -> str:
    return f"<pubsub xmlns='{PUBSUB}{'#owner' if owner else ''}'>{payload}</pubsub>"


AREAS = {
    "roster": [
        get(f"<query xmlns='{ROSTER}'/>"), get(f"<query xmlns='{ROSTER}' ver='{{n}}'/>"),
        put(f"<query xmlns='{ROSTER}'>{{roster_item}}</query>"),
        put(f"<query xmlns='{ROSTER}'>{{roster_item}}</query>"), put(f"<query xmlns='{ROSTER}'>{{roster_item*}}</query>",
        "to_user"),
        get(f"<query xmlns='{ROSTER}'/>", "to_any"),
        get("<group xmlns='urn:quobis:sippo:roster-group:0' name='individualChatList'/>", "to_user"),
        put("<group xmlns='urn:quobis:sippo:roster-group:0' name='{text}'>{roster_item*}</group>"),
        "<presence xmlns='jabber:client' id='{id}' type='subscribe'{to_user}><status>{mark}</status></presence>",
        "<presence xmlns='jabber:client' id='{id}' type='subscribed'{to_user}/>",
        "<presence xmlns='jabber:client' id='{id}' type='unsubscribe'{to_user}/>",
        "<presence xmlns='jabber:client' id='{id}' type='unsubscribed'{to_user}/>",
        "<presence xmlns='jabber:client' id='{id}' type='probe'{to_user}/>",
    ],
    "private": [
        get(f"<query xmlns='{PRIVATE}'>{{private_element}}</query>"),
        put(f"<query xmlns='{PRIVATE}'>{{private_element}}</query>"),
        put(f"<query xmlns='{PRIVATE}'>{{private_element*}}</query>"),
        get(f"<query xmlns='{PRIVATE}'>{{private_element}}</query>", "to_user"),
        put(f"<query xmlns='{PRIVATE}'>{{private_element}}</query>", "to_any"),
        get(f"<query xmlns='{PRIVATE}'><secret xmlns='urn:example:secret'/></query>", "to_user"),
        get(f"<query xmlns='{PRIVATE}'><secret xmlns='urn:example:secret'/></query>", "to_occupant"),
    ],
    "vcard": [
        get("<vCard xmlns='vcard-temp'/>"), put("<vCard xmlns='vcard-temp'>{vcard_field*}</vCard>"),
        get("<vCard xmlns='vcard-temp'/>", "to_any"),
        put("<vCard xmlns='vcard-temp'>{vcard_field}{vcard_field*}{vcard_field*}</vCard>"),
        put("<vCard xmlns='vcard-temp'>{vcard_field*}</vCard>", "to_any"),
        get("<vCard xmlns='vcard-temp'/>", "to_occupant"), get("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>", "to_user"),
        put("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>{vcard4_field*}</vcard>"),
        "<presence xmlns='jabber:client' id='{id}'><x xmlns='vcard-temp:x:update'><photo>{text}</photo></x></presence>",
    ],
    "pep": [
        put(pubsub("<publish node='{node}'>{item}</publish>")), put(pubsub("<publish node='{node}'>{item*}</publish>{options?}")),
        put(pubsub("<publish node='{node}'>{item}</publish>{options}")), get(pubsub("<items node='{node}'/>")),
        get(pubsub("<items node='{node}'/>"), "to_user"),
        get(pubsub("<items node='{node}' max_items='{n}'>{item*}</items>{rsm?}"), "to_own"),
        put(pubsub("<retract node='{node}' notify='{bool}'>{item*}</retract>")),
        put(pubsub("<create node='{node}'/><configure><x xmlns='jabber:x:data' type='submit'>{pubsub_field*}</x></configure>")),
        put(pubsub("<create/>")),
        put(pubsub("<subscribe node='{node}' jid='{jid}'/>"), "to_user"),
        put(pubsub("<unsubscribe node='{node}' jid='{own}' subid='{text}'/>"), "to_user"),
        get(pubsub("<subscriptions/>")), get(pubsub("<affiliations/>")), get(pubsub("<default/>", True)),
        get(pubsub("<configure node='{node}'/>", True)),
        put(pubsub("<configure node='{node}'><x xmlns='jabber:x:data' type='submit'>{pubsub_field*}</x></configure>", True)),
        put(pubsub("<delete node='{node}'/>", True)), put(pubsub("<purge node='{node}'/>", True)),
        get(pubsub("<affiliations node='{node}'/>", True)),
        put(pubsub("<affiliations node='{node}'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>", True)),
        put(pubsub("<subscriptions node='{node}'><subscription jid='{jid}' subscription='{subscription}'/></subscriptions>",
        True)),
        get(pubsub("<items node='{node}'/>"), "to_occupant"), put(pubsub("<publish node='{node}'>{item}</publish>"), "to_any"),
        get(pubsub("<options node='{node}' jid='{own}'/>")), put(pubsub("{deep}")),
    ],
    "bookmarks": [
        put(pubsub("<publish node='urn:xmpp:bookmarks:1'><item id='{room}'>{bookmark}</item></publish>{options?}")),
        get(pubsub("<items node='urn:xmpp:bookmarks:1'/>")),
        put(pubsub("<publish node='urn:xmpp:bookmarks:1'><item id='{text}'>{bookmark}</item></publish>")),
        put(pubsub("<retract node='urn:xmpp:bookmarks:1' notify='true'><item id='{room}'/></retract>")),
        get(pubsub("<items node='storage:bookmarks'/>"), "to_occupant"),
        put(f"<query xmlns='{PRIVATE}'><storage xmlns='storage:bookmarks'>{{old_bookmark*}}</storage></query>"),
        get(pubsub("<items node='storage:bookmarks'/>"), "to_own"),
        get(f"<query xmlns='{PRIVATE}'><storage xmlns='storage:bookmarks'/></query>"),
        put(pubsub("<publish node='storage:bookmarks'><item id='current'><storage "
            "xmlns='storage:bookmarks'>{old_bookmark*}</storage></item></publish>")),
        get(f"<query xmlns='{PRIVATE}'><storage xmlns='storage:bookmarks'/></query>", "to_user"),
        get(pubsub("<items node='urn:xmpp:bookmarks:1'/>"), "to_user"),
    ],
    "blocklist": [
        put(f"<block xmlns='{BLOCKING}'>{{blocked}}</block>"), put(f"<block xmlns='{BLOCKING}'>{{blocked*}}</block>",
        "to_any"), get(f"<blocklist xmlns='{BLOCKING}'/>"),
        put(f"<unblock xmlns='{BLOCKING}'>{{blocked}}</unblock>"), *[put(f"<unblock xmlns='{BLOCKING}'/>")] * 4,
        get(f"<blocklist xmlns='{BLOCKING}'/>", "to_any"),
    ],
    "archive": [
        put(f"<query xmlns='{MAM}' queryid='{{text}}'>{{mam_form?}}{{rsm?}}</query>"),
        put(f"<query xmlns='{MAM}'>{{mam_form}}{{rsm}}</query>"),
        put(f"<query xmlns='{MAM}'>{{rsm}}<flip-page/></query>"), put(f"<query xmlns='{MAM}'>{{mam_form?}}{{rsm}}</query>",
        "to_room"),
        put(f"<query xmlns='{MAM}'>{{rsm}}</query>", "to_own_room"),
        put(f"<query xmlns='{MAM}'>{{mam_form?}}{{rsm?}}</query>", "to_any"),
        get(f"<query xmlns='{MAM}'/>"), get(f"<metadata xmlns='{MAM}'/>"), get(f"<metadata xmlns='{MAM}'/>", "to_any"),
        get(f"<prefs xmlns='{MAM}'/>"),
        put(f"<prefs xmlns='{MAM}' default='{{mam_default}}'><always><jid>{{jid}}</jid></always><never>"
            f"<jid>{{jid}}</jid><jid/></never></prefs>"),
        put(f"<query xmlns='{MAM}'>{{mam_form}}{{rsm}}</query>", "to_occupant"),
        put(f"<query xmlns='{MAM}'><set xmlns='{RSM}'><max>50</max><before/></set></query>"),
    ],
    "push": [
        put(f"<enable xmlns='{PUSH}' jid='{{push_service}}' node='{{text}}'><x xmlns='{DATA}' type='submit'>"
            "<field var='FORM_TYPE'><value>http://jabber.org/protocol/"
            "pubsub#publish-options</value></field><field var='secret'><value>{text}</value></field></x></enable>"),
        put(f"<enable xmlns='{PUSH}' jid='{{jid}}'/>"), put(f"<enable xmlns='{PUSH}'/>"),
        put(f"<disable xmlns='{PUSH}' jid='{{push_service}}'/>"),
        put(f"<disable xmlns='{PUSH}' jid='{{jid}}' node='{{text}}'/>", "to_any"),
    ],
    "queries": [
        get("<ping xmlns='urn:xmpp:ping'/>", "to_any"), get("<time xmlns='urn:xmpp:time'/>", "to_any"),
        get("<query xmlns='jabber:iq:version'/>", "to_any"),
        get("<query xmlns='jabber:iq:last'/>", "to_any"), get("<query xmlns='jabber:iq:register'/>", "to_any"),
        put("<query xmlns='jabber:iq:register'><remove/></query>", "to_any"),
        put("<query xmlns='jabber:iq:register'><username>{text}</username><password>{text}</password></query>", "to_any"),
        get("<query xmlns='jabber:iq:auth'/>", "to_any"),
        get("<query xmlns='http://jabber.org/protocol/disco#info'/>", "to_any"),
        get("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>", "to_any"),
        get("<query xmlns='http://jabber.org/protocol/disco#items' node='{node}'/>", "to_any"),
        get("<query xmlns='http://jabber.org/protocol/disco#items'>{rsm?}</query>", "to_any"),
        get("<query xmlns='http://jabber.org/protocol/disco#items'/>", "to_host"),
        get("<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>", "to_room"),
        put("<command xmlns='http://jabber.org/protocol/commands' node='{text}' action='{text}'/>", "to_any"),
        get("<services xmlns='urn:xmpp:extdisco:2'/>", "to_host"),
        get("<query xmlns='jabber:iq:search'/>", "to_host"), get("<query xmlns='jabber:iq:gateway'/>", "to_host"),
        put("<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"),
        put("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{text}</resource></bind>"),
        put("<messages xmlns='urn:quobis:sippo:messages:0'>{message}</messages>", "to_host"),
        put("{deep}", "to_any"), get("{wide}", "to_any"), get("{unknown}", "to_any"), put("{unknown}", "to_any"),
        get("<offline xmlns='http://jabber.org/protocol/offline'/>"),
        "<iq xmlns='jabber:client' type='get' id='{id}'{to_any}/>",
        "<iq xmlns='jabber:client' type='get' id='{id}'{to_any}>{unknown}{unknown}</iq>",
        "<iq xmlns='jabber:client' type='result' id='f{n}'{to_any}>{unknown?}</iq>",
        "<iq xmlns='jabber:client' type='error' id='f{n}'{to_any}>{error}</iq>",
        "<iq xmlns='jabber:client' type='{text}' id='{id}'{to_any}>{unknown}</iq>",
        "<iq xmlns='jabber:client' id='{id}'{to_any}>{unknown}</iq>",
        put("<query xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"), put("<block xmlns='urn:xmpp:blocking'/>", "to_host"),
        get("<stat xmlns='http://jabber.org/protocol/stats'/>", "to_host"),
    ],
}
PRODUCTIONS |= {
    "mam_default": ["always", "never", "roster", "{text}"],
    "unknown": ["<query xmlns='urn:x:unknown'/>", "<query xmlns='{urn}' node='{node}'>{text}</query>",
        "<x xmlns='jabber:client'/>", "<error xmlns='jabber:client'/>",
                "<query xmlns='http://jabber.org/protocol/{text}'/>"],
    "error": ["<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        "<error type='cancel'><service-unavailable "
              "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                  "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{text}</text></error>", "<error/>", "",
              "<error type='{text}' code='{n}'>{unknown}</error>"],
}
