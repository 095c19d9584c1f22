--- Several messages of the server admin in one request, stored in one transaction.
--
-- A message to someone offline is stored twice, in the archive and for their first presence, each with a commit that
-- waits for the disk. A group of a thousand is a thousand invitations. To a room's bare JID, or its component:
--
--   <messages xmlns='urn:quobis:sippo:messages:0'>
--     <message xmlns='jabber:client' id='…' to='…'>…</message> …
--   </messages>
--
-- It may carry `expires` (see sippo_expiry). Each message goes the way that it would go by itself. The result comes
-- when all is on disk and names those that bounced, each with the error's type and condition (RFC 6120, 8.3), also one
-- that makes a module throw (`wait`, `internal-server-error`; nothing of it is stored):
--
--   <messages xmlns='…'><refused id='…' type='modify'><jid-malformed xmlns='…'/></refused> …</messages>
--
-- After an error of the store nothing is stored, but who is online may have got theirs: repeat it with the same ids.

local st = require "util.stanza";

local service = module:require "sippo_service";
local transaction = module:require "sippo_transaction";

local xmlns = "urn:quobis:sippo:messages:0";
local xmlns_client = "jabber:client";
local xmlns_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

module:add_feature(xmlns);

--- As the parser would have made it of a stanza of the stream itself.
local function unwrap(child)
	local message = st.clone(child);
	message.attr.xmlns = nil;
	message:maptags(function (tag)
		if tag.attr.xmlns == xmlns_client then tag.attr.xmlns = nil; end
		return tag;
	end);
	return message;
end

--- The messages by id, in order, or nil and what is wrong.
local function parse(request)
	local messages, ids = {}, {};
	for index, child in ipairs(request.tags) do
		local id = child.attr.id;
		if child.name ~= "message" or child.attr.xmlns ~= xmlns_client or not id or not child.attr.to then
			return nil, ("Child %d: give messages, each with an id and a to"):format(index);
		elseif ids[id] then
			return nil, ("Child %d: give each message an id of its own"):format(index);
		end
		messages[index], ids[id] = unwrap(child), true;
	end
	return messages, ids;
end

--- Handles `messages` as if they came on the stream of `origin`, and adds to `reply` those that bounce.
local function handle(origin, messages, ids, reply)
	local send = rawget(origin, "send");
	origin.sippo_rethrow = true; -- mod_sippo_errors must not keep from `apart` what fails
	function origin.send(stanza)
		local id = st.is_stanza(stanza) and stanza.name == "message" and stanza.attr.type == "error" and stanza.attr.id;
		if not id or not ids[id] then return send(stanza); end
		local kind, condition = stanza:get_error();
		reply:tag("refused", { id = id, type = kind }):tag(condition, { xmlns = xmlns_errors }):up():up();
		return true;
	end
	local ok, err = transaction(function (apart)
		for _, message in ipairs(messages) do
			local handled, failure = apart(prosody.core_process_stanza, origin, message);
			if not handled then
				module:log("error", "Could not handle a message of the service to %s; mend the module that failed: %s",
					message.attr.to, failure);
				origin.send(st.error_reply(message, "wait", "internal-server-error"));
			end
		end
	end);
	origin.send, origin.sippo_rethrow = send, nil;
	return ok, err;
end

local function handle_request(event)
	local origin, stanza = event.origin, event.stanza;
	if service.refuse_unless_current(event) then return true; end
	local messages, ids = parse(stanza.tags[1]);
	if not messages then
		origin.send(st.error_reply(stanza, "modify", "bad-request", ids));
		return true;
	end
	local reply = st.reply(stanza):tag("messages", { xmlns = xmlns });
	local ok, err = handle(origin, messages, ids, reply);
	if not ok then
		module:log("error", "Could not store %d messages of the service: %s; see that the store works", #messages, err);
		reply = st.error_reply(stanza, "wait", "internal-server-error", "They could not be stored; try again later");
	end
	origin.send(reply);
	return true;
end

module:hook("iq-set/bare/"..xmlns..":messages", handle_request);
module:hook("iq-set/host/"..xmlns..":messages", handle_request);
