--- What one presence sets going, and what is kept of it, has an end (RFC 6121).
--
--   * mod_presence remembers to whom a session has sent presence beside its contacts (occupants of rooms, anybody), and
--     tells all of them in one go when the session ends. `sippo_directed_limit` (default 1500) are remembered.
--   * A new session's first presence asks again for each subscription that is not answered yet, up to a whole roster of
--     them in one go. Contacts are users of this server: their roster has the request, so nothing is asked twice.
--   * mod_pep keeps of which nodes a client wants to be told (XEP-0115), as long a list as the client likes, for 10,000
--     kinds of clients. A list of more than 50 nodes, or of more than 2 KiB, counts for nothing.

local st = require "util.stanza";

local limit = module:get_option_number("sippo_directed_limit", 1500);
local max_nodes, max_bytes = 50, 2048;

-- Directed presence (section 4.6) ------------------------------------------------------------

--- Whether the session has as many as it may; counts them only when there may be as many.
local function has_enough(session)
	session.sippo_directed = (session.sippo_directed or 0) + 1;
	if session.sippo_directed <= limit then return false; end
	local count = 0;
	for _ in pairs(session.directed or {}) do count = count + 1; end
	session.sippo_directed = count + 1;
	return count >= limit;
end

local function check_directed(event)
	local session, stanza = event.origin, event.stanza;
	local known = session.directed and session.directed[stanza.attr.to];
	if stanza.attr.type or known or not has_enough(session) then return; end
	session.send(st.error_reply(stanza, "wait", "resource-constraint",
		"You have sent presence to as many addresses as you may: leave rooms, or become unavailable, first"));
	return true;
end

-- Before mod_presence (0)
for _, address in ipairs { "bare", "full", "host" } do module:hook("pre-presence/"..address, check_directed, 10); end

-- Subscriptions that are not answered (section 3.1.2) ------------------------------------------

--- The roster as it is, but as if no answer was waited for when it is gone through.
local function without_requests(roster)
	local function next_item(_, jid)
		local item;
		jid, item = next(roster, jid);
		if item and item.ask then item = setmetatable({ ask = false }, { __index = item }); end
		return jid, item;
	end
	return setmetatable({}, {
		__index = roster, __newindex = roster,
		__pairs = function () return next_item, nil, nil; end,
	});
end

module:wrap_event("presence/bare", function (handlers, name, event)
	local session, attr = event.origin, event.stanza.attr;
	local roster = session.roster;
	if attr.to or attr.type or session.presence or not roster then return handlers(name, event); end
	session.roster = without_requests(roster);
	local ok, result = xpcall(handlers, debug.traceback, name, event);
	if session.roster then session.roster = roster; end -- else the session has ended
	if not ok then error(result, 0); end
	return result;
end);

-- Capabilities (XEP-0163, section 4.3.2) --------------------------------------------------------

module:hook("iq-result/bare/disco", function (event)
	local query = event.stanza:get_child("query", "http://jabber.org/protocol/disco#info");
	local nodes, bytes = 0, 0;
	for feature in query and query:childtags("feature") or function () end do
		local node = feature.attr.var and feature.attr.var:match("^(.*)%+notify$");
		if node then nodes, bytes = nodes + 1, bytes + #node; end
	end
	if nodes > max_nodes or bytes > max_bytes then
		module:log("debug", "%s wants to be told of too many nodes", event.stanza.attr.from);
		return true;
	end
end, 10);
