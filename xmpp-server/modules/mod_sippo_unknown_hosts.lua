--- A line for a client that opens a stream to a domain that is no tenant of this server: its user cannot log in, and
-- stock Prosody closes the stream (`host-unknown`, RFC 6120, section 4.9.3.6) without a word. Load it globally.
--
-- Anybody can make such lines, so there are few of them, and they say how many are left out.

module:set_global();

local most, period = 30, 60; -- lines, seconds
local max_name = 200; -- bytes of a domain in a line

local began, spent, unlogged = 0, 0, 0;

--- How many lines were left out since the last; nil when there is none left.
local function spend(now)
	if now < began or now - began >= period then began, spent = now, 0; end
	if spent == most then
		unlogged = unlogged + 1;
		return nil;
	end
	spent = spent + 1;
	local count = unlogged;
	unlogged = 0;
	return count;
end

local function on_close(event)
	local reason, session = event.reason, event.session;
	if type(reason) ~= "table" or reason.condition ~= "host-unknown" then return; end
	local count = spend(os.time());
	if not count then return; end
	-- The client's own text: nothing in it may look like the end of a line.
	local domain = tostring(session.host):gsub("[%c ]", "?"):sub(1, max_name);
	module:log("warn", "Stream to %s refused: it is no tenant of this server; publish domain.created, or correct the "
		.."domain that the client asks for (client %s%s)", domain, session.ip or "unknown",
		count > 0 and ("; %d such lines left out before"):format(count) or "");
end

module:hook("pre-session-close", on_close); -- of a stream whose host is not there

function module.add_host(host_module) -- one that is there and has no users: a tenant's rooms
	host_module:hook("pre-session-close", on_close);
end
