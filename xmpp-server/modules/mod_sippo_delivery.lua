--- A message is reported failed only if nobody got it and it is not stored, and stored exactly when nobody got it.
--
-- Stanzas wait for the acknowledgement of each session (XEP-0198). When a session ends, mod_smacks judges what it has
-- not acknowledged without looking at the user's other sessions: it reports failed what another one got, stores what
-- another one holds, and reports failed what nobody got while a session without presence stands by. Here
--   * each message (`chat`, `normal`) knows to how many sessions it went, as itself or as a carbon copy (XEP-0280);
--   * what a session did not acknowledge when it ended is nobody's loss while another has it;
--   * the last one's goes to the sessions that are available by then, else to the offline store, else back;
--   * a message to the full JID of a lost session goes to the available ones as well, as RFC 6121, section 8.5.3.2.1,
--     has it for resources that are not there.
--
-- A message carries an attribute of ours while it is in the server: copies and queues keep it, and nothing that leaves
-- has it.

module:set_global();

local add_filter = require "util.filters".add_filter;
local jid_bare, jid_resource = require "util.jid".bare, require "util.jid".resource;
local st = require "util.stanza";

local attribute = "sippo-delivery";
local max_unacknowledged = module:get_option_number("smacks_max_queue_size", 500); -- what mod_smacks keeps
local xmlns_carbons, xmlns_forward = "urn:xmpp:carbons:2", "urn:xmpp:forward:0";
local xmlns_mam, xmlns_muc_user = "urn:xmpp:mam:2", "http://jabber.org/protocol/muc#user";
local deliverable = { chat = true, normal = true };

-- A delivery: { id, sent = to how many sessions, failed = for how many }. Sessions keep what they may yet fail.
local deliveries = setmetatable({}, { __mode = "v" });
local last_id = 0;

local function new_delivery()
	last_id = last_id + 1;
	local delivery = { id = ("%x"):format(last_id), sent = 0, failed = 0 };
	deliveries[delivery.id] = delivery;
	return delivery;
end

local function is_deliverable(stanza)
	local xmlns = stanza.attr.xmlns;
	return stanza.name == "message" and deliverable[stanza.attr.type or "normal"]
		and (not xmlns or xmlns == "jabber:client");
end

-- Carbon copies go before the message itself.
local carbon_key, carbon_delivery;

local function key_of(message)
	local attr = message.attr;
	return table.concat({ attr.from or "", attr.to or "", attr.id or "" }, "\0");
end

--- The message that a carbon copy brings to a recipient's other session. Only the server sends in the name of one's own
-- account; what another client calls a carbon copy is part of its message.
local function carbon_of(stanza)
	if not stanza.attr.to or stanza.attr.from ~= jid_bare(stanza.attr.to) then return; end
	local received = stanza:get_child("received", xmlns_carbons);
	local forwarded = received and received:get_child("forwarded", xmlns_forward);
	return forwarded and forwarded:get_child("message", "jabber:client");
end

local function delivery_of(stanza)
	local delivery = deliveries[stanza.attr[attribute]];
	if delivery then return delivery; end
	local carbon = carbon_of(stanza);
	local key = key_of(carbon or stanza);
	if key == carbon_key then
		delivery = carbon_delivery;
		if not carbon then carbon_key, carbon_delivery = nil, nil; end
	else
		delivery = new_delivery();
		if carbon then carbon_key, carbon_delivery = key, delivery; end
	end
	stanza.attr[attribute] = delivery.id;
	return delivery;
end

--- Forgets the oldest of what a session keeps, down to `count`.
local function forget(kept, count)
	while kept.last - kept.first >= count do
		local delivery = kept[kept.first];
		kept[kept.first], kept[delivery.id] = nil, nil;
		kept.first = kept.first + 1;
	end
end

local function count_sent(stanza, session)
	if not is_deliverable(stanza) then return stanza; end
	local kept = session.sippo_deliveries or { first = 1, last = 0 };
	local id = stanza.attr[attribute];
	if id and kept[id] then return stanza; end -- again, after a resumption
	local delivery = delivery_of(stanza);
	delivery.sent = delivery.sent + 1;
	if not session.smacks then return stanza; end -- it never tells what it did not get
	session.sippo_deliveries = kept;
	forget(kept, max_unacknowledged - 1);
	kept.last = kept.last + 1;
	kept[kept.last], kept[delivery.id] = delivery, delivery;
	return stanza;
end

local function strip(stanza)
	if stanza and stanza.attr then stanza.attr[attribute] = nil; end
	return stanza;
end

module:hook("websocket-session", function (event)
	add_filter(event.session, "stanzas/in", strip, 1000);
	add_filter(event.session, "stanzas/out", count_sent, -900); -- before mod_smacks (-999) makes its copy
	add_filter(event.session, "stanzas/out", strip, -1001); -- the copy that mod_websocket (-1000) has made
end);

local function sessions_of(session)
	local user = prosody.hosts[session.host].sessions[session.username];
	return user and user.sessions or {};
end

--- Whether what is sent to a session arrives, now or when it is resumed.
local function takes(session)
	return session.presence and session.priority >= 0
		and (session.conn or session.hibernating and session.smacks and session.outgoing_stanza_queue);
end

--- Sends a message that `session` did not get to the available others of highest priority. Whether there are any.
local function send_to_others(session, stanza)
	local best, recipients = 0, {};
	for _, other in pairs(sessions_of(session)) do
		if other ~= session and takes(other) and other.priority >= best then
			if other.priority > best then best, recipients = other.priority, {}; end
			recipients[#recipients + 1] = other;
		end
	end
	local sent = false;
	for _, other in ipairs(recipients) do sent = other.send(stanza) or sent; end
	return sent;
end

local function deliver_otherwise(host_module, session, stanza)
	if send_to_others(session, stanza) then return; end
	local event = { origin = session, username = session.username, stanza = stanza };
	if host_module:fire_event("message/offline/handle", event) then return; end
	if stanza.attr.from ~= session.full_jid then
		host_module:send(st.error_reply(stanza, "cancel", "recipient-unavailable"));
	end
end

local function handle_failure(host_module, session, stanza)
	if not session.username or not is_deliverable(stanza) then return; end
	local delivery = deliveries[stanza.attr[attribute]];
	strip(stanza);
	if delivery then
		delivery.failed = delivery.failed + 1;
		if delivery.failed < delivery.sent then return true; end -- another has it
	end
	-- Clients write such elements as well, but from an address with a resource.
	local is_servers = not jid_resource(stanza.attr.from);
	if is_servers and (stanza:get_child("result", xmlns_mam) or stanza:get_child("sent", xmlns_carbons)) then
		return true;
	end
	local message, carbon = stanza, carbon_of(stanza);
	if carbon then
		if not delivery then return true; end
		message = st.clone(carbon);
		message.attr.xmlns = nil;
	end
	deliver_otherwise(host_module, session, message);
	return true;
end

--- A message to the full JID of a session that waits to be resumed.
local function handle_full(stanza)
	local session = prosody.full_sessions[stanza.attr.to];
	if not session or not session.hibernating or not is_deliverable(stanza) then return; end
	if stanza:get_child("x", xmlns_muc_user) then return; end -- a private message of a room is for its occupant
	local copied = key_of(stanza) == carbon_key;
	local sent = false;
	for _, other in ipairs(prosody.hosts[session.host].sessions[session.username].top_resources or {}) do
		if other ~= session and other.conn and not (copied and other.want_carbons) then
			sent = other.send(stanza) or sent;
		end
	end
	if not sent then return; end
	session.send(stanza);
	return true;
end

local function forget_acknowledged(session, stanza)
	local queue, kept, count = session.outgoing_stanza_queue, session.sippo_deliveries, tonumber(stanza.attr.h);
	if session.smacks and queue and kept and count then
		forget(kept, math.max(queue:count_acked() + queue:count_unacked() - count, 0));
	end
end

function module.add_host(host_module)
	-- Before mod_smacks (0)
	host_module:hook("delivery/failure", function (event)
		return handle_failure(host_module, event.session, event.stanza);
	end, 10);
	host_module:hook("message/offline/handle", function (event) strip(event.stanza); end, 1000);
	-- After archive (0) and carbons (-0.5), before mod_message (-1)
	host_module:hook("message/full", function (event) return handle_full(event.stanza); end, -0.9);
	for _, xmlns in ipairs { "urn:xmpp:sm:2", "urn:xmpp:sm:3" } do
		host_module:hook_tag(xmlns, "a", forget_acknowledged, 5); -- after mod_sippo_smacks_counts (10)
	end
end
