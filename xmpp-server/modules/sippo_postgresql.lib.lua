--- Waits for PostgreSQL (part of prosody.cfg.lua): Prosody cannot load without its database, nor wait for it.
--
-- While it does not listen, or says that it is starting, it is asked again every second. What it refuses for good, the
-- operator has to mend.

local socket = require "socket";

local cannot_connect_now = "57P03"; -- https://www.postgresql.org/docs/current/errcodes-appendix.html
local patience = 60; -- seconds between lines of the log

local lib = {};

--- Begins a connection as the protocol's version 3 has it, and looks at the first answer.
-- @return true when it asks for the password or lets us in; false and why while it is to be asked again.
local function is_ready(params)
	local connection = socket.tcp();
	connection:settimeout(5);
	local ok, err = connection:connect(params.host, params.port);
	if not ok then connection:close(); return false, err; end
	local startup = string.pack(">I4zzzzB", 3 << 16, "user", params.username, "database", params.database, 0);
	connection:send(string.pack(">I4", #startup + 4)..startup);
	local kind = connection:receive(1);
	local length = kind and connection:receive(4);
	local answer = length and connection:receive(string.unpack(">I4", length) - 4) or "";
	connection:close();
	if not kind then return false, "it closes the connection"; end
	return not (kind == "E" and answer:find("C"..cannot_connect_now.."\0", 1, true)), "it is starting or stopping";
end

--- Waits until it is ready, then returns true, or nil and why it refuses us.
function lib.wait(params, log)
	local waited = 0;
	while true do
		local ready, reason = is_ready(params);
		if ready then break; end
		if waited % patience == 0 then
			log(("PostgreSQL at %s:%d is not there (%s); Prosody starts as soon as it is: start it, or mend "
				.."SIPPO_XMPP_STORAGE"):format(params.host, params.port, reason));
		end
		waited = waited + 1;
		socket.sleep(1);
	end
	local connection, err = require "DBI".Connect("PostgreSQL", params.database, params.username, nil, params.host,
		params.port);
	if not connection then return nil, (tostring(err):gsub("%s+", " ")); end
	connection:close();
	return true;
end

return lib;
