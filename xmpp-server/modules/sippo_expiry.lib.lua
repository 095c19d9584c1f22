-- Requests that came too late.
--
-- A client that gives up closes its connection, but what it sent may lie in the queue of a server that was stopped or
-- overloaded, and would be handled minutes later, after newer requests. So the service says until when a request
-- counts: `expires`, an attribute of its payload, in seconds since the epoch of Unix.

local now = require "util.time".now;
local st = require "util.stanza";

local _M = {};

--- Answers a request that has expired and says true; nil if it counts. One without `expires` always counts.
function _M.refuse_if_expired(event)
	local origin, stanza = event.origin, event.stanza;
	local expires = tonumber(stanza.tags[1].attr.expires);
	local late = expires and now() - expires or 0;
	if late <= 0 then return; end
	module:log("warn", "A request to %s came %.0f s after it expired and was not handled; if that goes on, "
		.."see whether this server is overloaded or was stopped, or that the clocks of this server and of the service "
		.."agree", stanza.attr.to, late);
	origin.send(st.error_reply(stanza, "wait", "remote-server-timeout",
		"It came too late; see whether the server is overloaded or was stopped, or that its clock and the service's agree"));
	return true;
end

return _M;
