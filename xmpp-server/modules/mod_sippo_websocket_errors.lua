--- Stream errors over WebSocket are well-formed: each frame is a document by itself (RFC 7395, section 3.3), so it
-- has to say what its prefix `stream` is.
--
-- Prosody 13.0.1 has made text of the error before it adds the namespaces; a client's parser fails then, and the user
-- never learns why the session has ended. 0.12 adds them first, and nothing here applies. Load it globally.

module:set_global();

local add_filter = require "util.filters".add_filter;

local bare = "<stream:error>";
local declared = "<stream:error xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>";

local function declare(data)
	data = tostring(data);
	if data:sub(1, #bare) == bare then return declared..data:sub(#bare + 1); end
	return data;
end

-- Only now: little is sent after it, and what is sent before pays nothing.
local function on_close(event)
	local session = event.session;
	if session.websocket_request and session.conn then
		add_filter(session, "bytes/out", declare, 10); -- before it becomes a frame
	end
end

module:hook("pre-session-close", on_close); -- of a stream that has no host yet

function module.add_host(host_module)
	host_module:hook("pre-session-close", on_close);
end
